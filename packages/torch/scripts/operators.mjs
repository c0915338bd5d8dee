/** Every ATen operator the project calls, as `name` or `name.overload`. */
export const operators = `
zeros ones full arange.start_step linspace randn.generator rand.generator randperm.generator
zeros_like
add.Tensor add.Scalar sub.Tensor sub.Scalar mul.Tensor mul.Scalar div.Tensor div.Scalar rsub.Scalar
add_.Tensor add_.Scalar sub_.Tensor sub_.Scalar mul_.Tensor mul_.Scalar div_.Tensor div_.Scalar
addcmul_ addcdiv_ lerp_.Scalar lerp_.Tensor copy_ zero_ fill_.Scalar
addcmul lerp.Scalar lerp.Tensor neg abs square sqrt rsqrt exp log sin cos tanh sigmoid silu relu gelu round floor sqrt_
pow.Tensor_Scalar pow.Tensor_Tensor pow.Scalar clamp maximum minimum
eq.Tensor eq.Scalar ne.Tensor ne.Scalar lt.Tensor lt.Scalar le.Tensor le.Scalar gt.Tensor gt.Scalar ge.Tensor ge.Scalar
logical_not where.self isfinite all
sum sum.dim_IntList mean mean.dim std.correction amax amin max min argmax norm.Scalar cumsum
softmax.int matmul
reshape unflatten.int view permute transpose.int unsqueeze squeeze.dim flatten.using_ints expand repeat repeat_interleave.self_int
narrow slice.Tensor select.int index_select gather chunk split_with_sizes split.Tensor unbind.int flip cat stack
pin_memory contiguous clone detach to.device
linear conv2d conv3d mkldnn_convolution layer_norm embedding
scaled_dot_product_attention rms_norm
_foreach_norm.Scalar _foreach_mul_.Scalar _foreach_add_.List _foreach_add_.Scalar
_foreach_sub.List _foreach_addcmul_.Scalar _foreach_addcdiv_.Scalar _foreach_sqrt _foreach_div_.Scalar _foreach_lerp_.Scalar
`
  .trim()
  .split(/\s+/);
