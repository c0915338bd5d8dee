/**
 * The layers with weights. Each requests its tensors from `Parameters` under the names of PyTorch's modules.
 */
import { conv3d, layerNorm, linear, rmsNorm } from "../ops/nn.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Adapter, Init, LinearLayer, Parameters } from "./parameters.ts";

/** PyTorch's default: U(-1/sqrt(fanIn), 1/sqrt(fanIn)) for weight and bias alike. */
const fanInInit = (fanIn: number): Init => ({ uniform: 1 / Math.sqrt(fanIn) });

export class Linear implements LinearLayer {
  readonly weight: Tensor;
  readonly bias: Tensor | undefined;
  readonly inFeatures: number;
  readonly outFeatures: number;
  adapter: Adapter | undefined;

  constructor(
    p: Parameters,
    inFeatures: number,
    outFeatures: number,
    options: { readonly bias?: boolean } = {},
  ) {
    this.inFeatures = inFeatures;
    this.outFeatures = outFeatures;
    this.weight = p.tensor("weight", [outFeatures, inFeatures], fanInInit(inFeatures));
    this.bias = (options.bias ?? true) ? p.tensor("bias", [outFeatures], fanInInit(inFeatures)) : undefined;
    p.register(this);
  }

  forward(x: Tensor): Tensor {
    const y = linear(x, this.weight, this.bias);
    return this.adapter ? y.add_(this.adapter.forward(x)) : y;
  }
}

type ConvShape = {
  readonly kernel: readonly number[];
  readonly stride?: readonly number[];
  readonly padding?: readonly number[];
  readonly bias?: boolean;
};

class Conv {
  readonly weight: Tensor;
  readonly bias: Tensor | undefined;
  readonly options: { stride?: readonly number[]; padding?: readonly number[] };

  constructor(p: Parameters, inChannels: number, outChannels: number, shape: ConvShape) {
    const init = fanInInit(inChannels * shape.kernel.reduce((product, size) => product * size, 1));
    this.weight = p.tensor("weight", [outChannels, inChannels, ...shape.kernel], init);
    this.bias = (shape.bias ?? true) ? p.tensor("bias", [outChannels], init) : undefined;
    this.options = {
      ...(shape.stride && { stride: shape.stride }),
      ...(shape.padding && { padding: shape.padding }),
    };
  }
}

export class Conv3d extends Conv {
  forward(x: Tensor): Tensor {
    return conv3d(x, this.weight, this.bias, this.options);
  }
}

type NormOptions = { readonly eps: number; readonly affine: boolean };

/** LayerNorm over the last axis. */
export class LayerNorm {
  readonly weight: Tensor | undefined;
  readonly bias: Tensor | undefined;
  readonly #size: number;
  readonly #eps: number;

  constructor(p: Parameters, size: number, options: NormOptions) {
    this.#size = size;
    this.#eps = options.eps;
    this.weight = options.affine ? p.tensor("weight", [size], "ones") : undefined;
    this.bias = options.affine ? p.tensor("bias", [size], "zeros") : undefined;
  }

  forward(x: Tensor): Tensor {
    return layerNorm(x, [this.#size], this.weight, this.bias, this.#eps);
  }
}

/** RMSNorm over the last axis, with the casts of `torch.nn.RMSNorm`. */
export class RmsNorm {
  readonly weight: Tensor | undefined;
  readonly #eps: number;

  constructor(p: Parameters, size: number, options: NormOptions) {
    this.#eps = options.eps;
    this.weight = options.affine ? p.tensor("weight", [size], "ones") : undefined;
  }

  forward(x: Tensor): Tensor {
    return rmsNorm(x, this.weight, this.#eps);
  }
}
