// The other side of `npm run bench`: the same work written in C++ against the same libtorch.
//
// usage: ltx_bench <case> <threads>; prints one number, seconds per repetition (median).
// The training step is one of the small transformer with LoRA: forward, loss, backward, clipping, AdamW, operator for
// operator as packages/ltx and packages/torch do it.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

using at::Tensor;

namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/** Median seconds of one repetition; repetitions are grouped so that a group takes at least 20 ms. */
double median(const std::function<void()>& body) {
  for (int i = 0; i < 3; ++i) body();
  double start = now();
  body();
  const int group = std::max(1, static_cast<int>(0.02 / std::max(1e-9, now() - start)));
  std::vector<double> times;
  const double until = now() + 2.0;
  while (times.size() < 5 || (now() < until && times.size() < 200)) {
    start = now();
    for (int i = 0; i < group; ++i) body();
    times.push_back((now() - start) / group);
  }
  std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
  return times[times.size() / 2];
}

// The shapes of ltx-nano at its medium square size; see scripts/bench/cases.ts.
constexpr int64_t kLayers = 6, kHeads = 4, kWidth = 192, kChannels = 32, kCaption = 96, kText = TEXT_LENGTH;
constexpr int64_t kFrames = 11, kRows = 5, kColumns = 5, kTokens = kFrames * kRows * kColumns, kRank = 32;

Tensor parameter(at::IntArrayRef shape) { return at::randn(shape) * 0.02; }

struct Linear {
  Tensor weight, bias, a, b;
  Linear(int64_t in, int64_t out, bool adapted = false) : weight(parameter({out, in})), bias(parameter({out})) {
    if (!adapted) return;
    a = parameter({kRank, in}).set_requires_grad(true);
    b = parameter({out, kRank}).set_requires_grad(true);
  }
  Tensor operator()(const Tensor& x) const {
    Tensor y = at::linear(x, weight, bias);
    if (!a.defined()) return y;
    return y.add_(at::linear(at::linear(x, a), b));
  }
};

Tensor rmsNorm(const Tensor& x, const Tensor& weight, double eps) {
#if HAS_RMS_NORM
  c10::optional<Tensor> factor;
  if (weight.defined()) factor = weight;
  return at::rms_norm(x, {x.size(-1)}, factor, eps);
#else
  Tensor normed = x * (x.square().mean(-1, true) + eps).rsqrt();
  return weight.defined() ? normed * weight : normed;
#endif
}

Tensor rotate(const Tensor& x, const Tensor& cos, const Tensor& sin) {
  auto halves = x.unflatten(2, {-1, 2}).unbind(-1);
  return (x * cos).addcmul(at::stack({halves[1], halves[0]}, -1).flatten(2, 3), sin);
}

Tensor split(const Tensor& x) { return x.unflatten(2, {kHeads, -1}).transpose(1, 2); }

Tensor attend(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& mask) {
#if HAS_SDPA
  c10::optional<Tensor> bias;
  if (mask.defined()) bias = mask;
  return at::scaled_dot_product_attention(q, k, v, bias);
#else
  const double factor = std::sqrt(1 / std::sqrt(static_cast<double>(q.size(-1))));
  Tensor scores = at::matmul(q * factor, (k * factor).transpose(-2, -1));
  if (mask.defined()) scores = scores + mask;
  return at::matmul(scores.softmax(-1), v);
#endif
}

struct Attention {
  Linear q{kWidth, kWidth, true}, k{kWidth, kWidth, true}, v{kWidth, kWidth, true}, out{kWidth, kWidth, true};
  Tensor normQ = parameter({kWidth}) + 1, normK = parameter({kWidth}) + 1;
  Tensor operator()(const Tensor& x, const Tensor& source, const Tensor* rope, const Tensor& mask) const {
    Tensor queries = rmsNorm(q(x), normQ, 1e-5), keys = rmsNorm(k(source), normK, 1e-5), values = v(source);
    if (rope != nullptr) {
      queries = rotate(queries, rope[0], rope[1]);
      keys = rotate(keys, rope[0], rope[1]);
    }
    return out(attend(split(queries), split(keys), split(values), mask).transpose(1, 2).flatten(2, 3));
  }
};

// The step measured here has one timestep for all tokens, so that modulation broadcasts by itself.
Tensor modulate(const Tensor& x, const Tensor& scale, const Tensor& shift) { return shift.addcmul(x, scale + 1); }

Tensor addGated(const Tensor& x, const Tensor& branch, const Tensor& gate) { return x.addcmul(branch, gate); }

struct Block {
  Attention self, cross;
  Linear in{kWidth, 4 * kWidth}, out{4 * kWidth, kWidth};
  Tensor table = parameter({6, kWidth});
  Tensor forward(const Tensor& x, const Tensor& text, const Tensor& bias, const Tensor& modulation,
                 const Tensor* rope) const {
    auto rows = (table + modulation).unbind(2);
    Tensor entering = modulate(rmsNorm(x, {}, 1e-6), rows[1], rows[0]);
    Tensor afterSelf = addGated(x, self(entering, entering, rope, {}), rows[2]);
    Tensor afterCross = afterSelf + cross(afterSelf, text, nullptr, bias);
    Tensor hidden = modulate(rmsNorm(afterCross, {}, 1e-6), rows[4], rows[3]);
    return addGated(afterCross, out(at::gelu(in(hidden), "tanh")), rows[5]);
  }
};

struct Model {
  Linear projIn{kChannels, kWidth}, projOut{kWidth, kChannels};
  Linear time1{256, kWidth}, time2{kWidth, kWidth}, timeOut{kWidth, 6 * kWidth};
  Linear caption1{kCaption, kWidth}, caption2{kWidth, kWidth};
  Tensor table = parameter({2, kWidth});
  std::vector<Block> blocks{kLayers};
  Tensor rope[2] = {parameter({1, kTokens, kWidth}), parameter({1, kTokens, kWidth})};
  Tensor frequencies = parameter({1, 128});

  Tensor forward(const Tensor& tokens, const Tensor& text, const Tensor& mask, const Tensor& timestep) const {
    Tensor angles = timestep.flatten().unsqueeze(1) * frequencies;
    Tensor embedded = time2(at::silu(time1(at::cat({angles.cos(), angles.sin()}, -1))));
    Tensor modulation = timeOut(at::silu(embedded)).reshape({1, timestep.size(1), 6, -1});
    Tensor words = caption2(at::gelu(caption1(text), "tanh"));
    Tensor bias = ((1 - mask.to(at::kFloat)) * -10000).unsqueeze(1).unsqueeze(1);
    Tensor x = projIn(tokens);
    for (const Block& block : blocks) x = block.forward(x, words, bias, modulation, rope);
    auto rows = (table + embedded.reshape({1, timestep.size(1), 1, -1})).unbind(2);
    return projOut(modulate(at::layer_norm(x, {kWidth}, {}, {}, 1e-6), rows[1], rows[0]));
  }

  std::vector<Tensor> adapters() const {
    std::vector<Tensor> found;
    for (const Block& block : blocks) {
      for (const Attention* attention : {&block.self, &block.cross}) {
        for (const Linear* layer : {&attention->q, &attention->k, &attention->v, &attention->out}) {
          found.push_back(layer->a);
          found.push_back(layer->b);
        }
      }
    }
    return found;
  }
};

struct AdamW {
  std::vector<Tensor> parameters, means, squares;
  int steps = 0;
  explicit AdamW(std::vector<Tensor> all) : parameters(std::move(all)) {
    at::NoGradGuard guard;
    for (const Tensor& each : parameters) {
      means.push_back(at::zeros_like(each));
      squares.push_back(at::zeros_like(each));
    }
  }
  void step() {
    at::NoGradGuard guard;
    ++steps;
    std::vector<Tensor> gradients;
    for (const Tensor& each : parameters) gradients.push_back(each.grad());
    const double norm = at::stack(at::_foreach_norm(gradients, 2), 0).norm().item<double>();
    at::_foreach_mul_(gradients, std::min(1.0, 1.0 / (norm + 1e-6)));
    at::_foreach_mul_(parameters, 1 - 2e-4 * 0.01);
    at::_foreach_add_(means, at::_foreach_sub(gradients, means), 0.1);
    at::_foreach_mul_(squares, 0.999);
    at::_foreach_addcmul_(squares, gradients, gradients, 0.001);
    auto denominators = at::_foreach_sqrt(squares);
    at::_foreach_div_(denominators, std::sqrt(1 - std::pow(0.999, steps)));
    at::_foreach_add_(denominators, 1e-8);
    at::_foreach_addcdiv_(parameters, means, denominators, -2e-4 / (1 - std::pow(0.9, steps)));
    for (Tensor& each : parameters) each.mutable_grad() = Tensor();
  }
};

double trainingStep() {
  Model model;
  AdamW optimizer(model.adapters());
  const Tensor tokens = at::randn({1, kTokens, kChannels}), target = at::randn({1, kTokens, kChannels});
  const Tensor text = at::randn({1, kText, kCaption}), mask = at::ones({1, kText}, at::kLong);
  const Tensor timestep = at::full({1, 1}, 500.0);
  return median([&] {
    Tensor loss = (model.forward(tokens, text, mask, timestep) - target).square().mean();
    torch::autograd::backward({loss}, {});
    optimizer.step();
    loss.item<double>();
  });
}

double block() {
  Block one;
  const Tensor x = at::randn({1, kTokens, kWidth}), words = at::randn({1, kText, kWidth});
  const Tensor bias = at::zeros({1, 1, 1, kText}), modulation = at::randn({1, 1, 6, kWidth}) * 0.02;
  const Tensor rope[2] = {parameter({1, kTokens, kWidth}), parameter({1, kTokens, kWidth})};
  return median([&] { torch::autograd::backward({one.forward(x, words, bias, modulation, rope).sum()}, {}); });
}

double run(const std::string& name) {
  if (name == "add") {
    const Tensor a = at::randn({4}), b = at::randn({4});
    return median([&] { at::add(a, b); });
  }
  if (name == "elementwise") {
    const Tensor x = at::randn({10'500'000});
    return median([&] { at::mul(at::add(x, 1), x); });
  }
  if (name.rfind("gemm-", 0) == 0) {
    const int64_t n = std::stol(name.substr(5));
    const Tensor a = at::randn({n, n}), b = at::randn({n, n});
    return median([&] { at::matmul(a, b); });
  }
  if (name == "attention") {
    const Tensor q = at::randn({1, kHeads, kTokens, kWidth / kHeads});
    return median([&] { attend(q, q, q, {}); });
  }
  if (name == "conv3d") {
    const Tensor x = at::randn({1, 64, 11, 20, 20}), w = at::randn({64, 64, 3, 3, 3}), b = at::randn({64});
    at::NoGradGuard guard;
    return median([&] { at::mkldnn_convolution(x, w, b, {0, 1, 1}, {1, 1, 1}, {1, 1, 1}, 1); });
  }
  if (name == "block") return block();
  if (name == "step") return trainingStep();
  std::fprintf(stderr, "unknown case %s\n", name.c_str());
  std::exit(2);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const int threads = std::stoi(argv[2]);
  at::set_num_threads(threads);
  using Setter = void (*)(int);  // as the addon does
  if (const auto setter = reinterpret_cast<Setter>(dlsym(RTLD_DEFAULT, "openblas_set_num_threads"))) setter(threads);
  at::manual_seed(1);
  std::printf("%.9g\n", run(argv[1]));
}
