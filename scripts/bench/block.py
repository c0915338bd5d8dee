"""The other side of `npm run bench:block`: the same block from diffusers with peft's LoRA, in PyTorch.

Idea: the LoRA is float32 under bfloat16 autocast, as the Lightricks trainer runs it; `--lora-dtype bfloat16` is the same
without autocast, the quickest plain PyTorch has. `--compare FILE` takes weights and inputs from a file of
`block.ts --save FILE` and holds output and gradients to those in it before anything is timed.
"""

import argparse
import contextlib
import json
import statistics
import sys
import time

import torch
from diffusers.models.transformers.transformer_ltx import LTXVideoTransformerBlock
from peft import LoraConfig, inject_adapter_in_model
from safetensors.torch import load_file

MODELS = {
    "2b": {"heads": 32, "head_width": 64, "text": 256, "rank": 128},
    "13b": {"heads": 32, "head_width": 128, "text": 256, "rank": 128},
    "tiny": {"heads": 2, "head_width": 32, "text": 16, "rank": 4},
}
TARGETS = ["to_q", "to_k", "to_v", "to_out.0"]
CAPTION_TOKENS = 40
HEADING = "model  video         tokens   forward ms  fwd+bwd ms       TFLOP   TFLOP/s  of GEMM  peak GB"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"])
    parser.add_argument("--models", default="2b,13b")
    parser.add_argument("--videos", default="768x448x49,576x576x81,768x448x89")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--lora-dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--compare", metavar="FILE")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    options.dtype = options.dtype or ("float32" if options.device == "cpu" else "bfloat16")
    return options


def token_count(video):
    width, height, frames = (int(part) for part in video.split("x"))
    return ((frames - 1) // 8 + 1) * (height // 32) * (width // 32)


def flops(model, tokens):
    """See flopsOf in block-case.ts."""
    length, rank = model["text"], model["rank"]
    width = model["heads"] * model["head_width"]
    projections = 28 * tokens * width**2
    attention = 4 * tokens * (tokens + length) * width
    lora = 4 * rank * width * (6 * tokens + 2 * length)
    forward = projections + 4 * length * width**2 + attention + lora
    return forward + projections + 2 * attention + 2 * lora - 4 * rank * width * length


def uses_autocast(options):
    return options.dtype == "bfloat16" and options.lora_dtype == "float32"


class Case:
    """The block, its LoRA and its inputs."""

    def __init__(self, model, tokens, options, given=None):
        self.device = options.device
        self.dtype = getattr(torch, options.dtype)
        self.autocast = uses_autocast(options)
        width = model["heads"] * model["head_width"]
        with torch.device(self.device):
            block = LTXVideoTransformerBlock(
                dim=width,
                num_attention_heads=model["heads"],
                attention_head_dim=model["head_width"],
                cross_attention_dim=width,
            )
        block.requires_grad_(False).to(self.dtype)
        config = LoraConfig(r=model["rank"], lora_alpha=model["rank"], target_modules=TARGETS, init_lora_weights=False)
        self.block = inject_adapter_in_model(config, block).to(self.device)
        self.lora = {key: value for key, value in self.block.named_parameters() if "lora_" in key}
        lora_dtype = self.dtype if options.lora_dtype == "bfloat16" else torch.float32
        for value in self.lora.values():
            value.data = value.data.to(lora_dtype)
            value.requires_grad_(True)
        self.take(given) if given else self.draw(model, tokens, width)
        self.x.requires_grad_(True)

    def draw(self, model, tokens, width):
        torch.manual_seed(1)

        def normal(*shape):
            return torch.randn(shape, device=self.device).to(self.dtype)

        self.x, self.text = normal(1, tokens, width), normal(1, model["text"], width)
        self.modulation, self.gradient = normal(1, 1, 6 * width) * 0.1, normal(1, tokens, width) / tokens
        self.bias = torch.full((1, 1, model["text"]), -10000.0, dtype=self.dtype, device=self.device)
        self.bias[:, :, : min(CAPTION_TOKENS, model["text"] - 1)] = 0
        angles = torch.rand(1, tokens, width // 2, device=self.device).repeat_interleave(2, dim=-1)
        self.rope = (angles.cos(), angles.sin())

    def take(self, given):
        """Everything from a file that block.ts saved."""
        at = {key: value.to(self.device) for key, value in given.items()}
        for key, value in self.block.named_parameters():
            plain = key.replace(".base_layer.", ".").replace(".default.", ".")
            value.data.copy_(at[f"lora.{plain}" if "lora_" in plain else f"weights.{plain}"])
        self.x, self.text, self.gradient = at["in.x"], at["in.text"], at["in.gradient"]
        self.modulation = at["in.modulation"].flatten(2)
        self.bias = at["in.bias"].squeeze(1)
        sin = at["in.sin_BTD"].clone()
        sin[..., 0::2] *= -1  # ours carries the sign of the swapped pair
        self.rope = (at["in.cos_BTD"], sin)

    def forward(self):
        context = torch.autocast(self.device.split(":")[0], torch.bfloat16) if self.autocast else contextlib.nullcontext()
        with context:
            return self.block(
                hidden_states=self.x,
                encoder_hidden_states=self.text,
                temb=self.modulation,
                image_rotary_emb=self.rope,
                encoder_attention_mask=self.bias,
            )

    def step(self):
        self.x.grad = None
        for value in self.lora.values():
            value.grad = None
        y = self.forward()
        y.backward(self.gradient.to(y.dtype))
        return y

    def differences(self, given):
        """Relative L2 distance of the output and of every gradient from those in the file."""
        found = {"out.y": self.step().detach(), "grad.x": self.x.grad}
        for key, value in self.lora.items():
            found[f"grad.{key.replace('.default.', '.')}"] = value.grad
        wanted = {key: value.to(self.device) for key, value in given.items() if key in found}
        missing = [key for key in given if key.startswith(("out.", "grad.")) and key not in found]
        if missing:
            raise SystemExit(f"compare: the file has {missing}, which this side does not compute")
        for key, value in wanted.items():
            if value.shape != found[key].shape:
                raise SystemExit(f"compare: {key} is {tuple(found[key].shape)} here and {tuple(value.shape)} there")
        return {
            key: ((found[key].float() - value.float()).norm() / value.float().norm()).item()
            for key, value in wanted.items()
        }


def seconds_of(body, device, rounds):
    """Median seconds of one repetition over groups of at least 50 ms, each waited for."""

    def timed(count):
        if device != "cpu":
            torch.cuda.synchronize(device)
        started = time.perf_counter()
        for _ in range(count):
            body()
        if device != "cpu":
            torch.cuda.synchronize(device)
        return (time.perf_counter() - started) / count

    timed(3)
    group = max(1, -int(-0.05 // timed(1)))
    return statistics.median(timed(group) for _ in range(rounds))


def measure(name, video, options):
    tokens = token_count(video)
    case = Case(MODELS[name], tokens, options)
    forward = seconds_of(case.forward, options.device, options.rounds)
    if options.device != "cpu":
        torch.cuda.reset_peak_memory_stats(options.device)
    step = seconds_of(case.step, options.device, options.rounds)
    peak = torch.cuda.max_memory_allocated(options.device) / 1e9 if options.device != "cpu" else None
    del case
    if options.device != "cpu":
        torch.cuda.empty_cache()
    tflop = flops(MODELS[name], tokens) / 1e12
    return {
        "model": name,
        "video": video,
        "tokens": tokens,
        "forward_ms": forward * 1e3,
        "step_ms": step * 1e3,
        "tflop": tflop,
        "tflops": tflop / step,
        "peak_gb": peak,
    }


def matrix_rate(options, size):
    a = torch.randn(size, size, device=options.device).to(getattr(torch, options.dtype))
    return 2 * size**3 / seconds_of(lambda: a @ a, options.device, options.rounds) / 1e12


def compare(options, names, videos):
    given = load_file(options.compare)
    case = Case(MODELS[names[0]], token_count(videos[0]), options, given)
    differences = case.differences(given)
    limit = 1e-5 if case.dtype == torch.float32 else 3e-2
    worst = max(differences, key=differences.get)
    verdict = "agree" if differences[worst] <= limit else "DIFFER"
    print(
        f"compare: output and {len(differences) - 1} gradients {verdict}: relative distance at most "
        f"{differences[worst]:.1e} ({worst}) of {limit:.0e}, output {differences['out.y']:.1e}",
        file=sys.stderr,
    )
    if verdict != "agree":
        raise SystemExit(1)


def line_of(row, rate):
    peak = "-" if row["peak_gb"] is None else f"{row['peak_gb']:.2f}"
    share = f"{row['tflops'] / rate * 100:.1f} %"
    return (
        f"{row['model']:<5}  {row['video']:<12}  {row['tokens']:>6}  {row['forward_ms']:>11.3f}  {row['step_ms']:>11.3f}"
        f"  {row['tflop']:>11.4g}  {row['tflops']:>9.4g}  {share:>8}  {peak:>8}"
    )


def main():
    options = arguments()
    if options.threads:
        torch.set_num_threads(options.threads)
    names = ["tiny"] if options.tiny else options.models.split(",")
    videos = ["128x64x17"] if options.tiny else options.videos.split(",")
    if options.compare:
        compare(options, names, videos)
    rate = matrix_rate(options, 512 if options.device == "cpu" else 8192)
    where = f"{torch.get_num_threads()} threads" if options.device == "cpu" else options.device
    mode = f"LoRA {options.lora_dtype}{' under autocast' if uses_autocast(options) else ''}"
    if options.json:
        print(json.dumps({"side": "pytorch", "device": options.device, "dtype": options.dtype, "gemm_tflops": rate}))
    else:
        print(f"diffusers: PyTorch {torch.__version__}, {where}, {options.dtype}, {mode}; GEMM {rate:.4g} TFLOP/s\n{HEADING}")
    for name in names:
        for video in videos:
            row = measure(name, video, options)
            print(json.dumps(row) if options.json else line_of(row, rate), flush=True)


if __name__ == "__main__":
    main()
