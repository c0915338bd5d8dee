/**
 * The variables that trainers inherit from the server.
 *
 * An allow-list: trainers open strangers' files, and an operator's environment holds passwords under names that no list of
 * secrets could know.
 */

/** What finds programs and libraries, and what places and words depend on. */
const names = new Set([
  ...["PATH", "LD_LIBRARY_PATH", "LD_PRELOAD", "HOME", "TMPDIR", "TZ", "LANG", "LANGUAGE"],
  // Ours.
  ...["LTX_TRAINER_PROGRAM", "LTX_TRAINER_ADDON", "LIBTORCH", "FFMPEG_PATH", "FFPROBE_PATH"],
  // Certificates that downloads trust.
  ...["NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "SSL_CERT_DIR"],
  // Where the Hugging Face cache lies. Never HF_TOKEN.
  ...["HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME"],
]);

/** Threads, instruction sets, memory and devices of libtorch and the libraries under it. */
const prefixes =
  /^(LC|OMP|GOMP|KMP|MKL|OPENBLAS|GOTO|DNNL|ONEDNN|ATEN|TORCH|PYTORCH|CUDA|CUBLAS|CUDNN|NVIDIA|NCCL|MALLOC)_[A-Z0-9_]+$/;

/**
 * The variables of `environment` that trainers inherit. One that is set to nothing is left out.
 *
 * @param environment the server's own
 */
export function trainerEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string>> {
  const inherited = Object.entries(environment).filter(
    (entry): entry is [string, string] =>
      Boolean(entry[1]) && (names.has(entry[0]) || prefixes.test(entry[0])),
  );
  return Object.fromEntries(inherited);
}
