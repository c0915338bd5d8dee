// JavaScript values to IValues and back. The operator's schema decides what a value means: the number 3 is a tensor
// handle, an int, a float or a Scalar, depending on the type of the argument.
#include "native.h"

#include <cmath>

namespace ltx {

constexpr double kLargestInteger = 9007199254740992.0;  // 2^53: the doubles above it have gaps

double numberOf(napi_env env, napi_value value) {
  double result;
  if (napi_get_value_double(env, value, &result) == napi_ok) return result;
  bool truth;
  if (napi_get_value_bool(env, value, &truth) == napi_ok) return truth ? 1 : 0;
  int64_t big;
  bool lossless;
  if (napi_get_value_bigint_int64(env, value, &big, &lossless) == napi_ok) return static_cast<double>(big);
  throw BindingError("expected a number");
}

int64_t integerOf(napi_env env, napi_value value) {
  int64_t big;
  bool lossless;
  if (napi_get_value_bigint_int64(env, value, &big, &lossless) == napi_ok) return big;
  const double number = numberOf(env, value);
  // Written so that NaN fails it: converting NaN or a number out of range to an integer is undefined.
  if (!(std::abs(number) <= kLargestInteger) || number != std::floor(number)) {
    throw BindingError("got " + std::to_string(number) + ", expected an integer");
  }
  return static_cast<int64_t>(number);
}

namespace {

// JavaScript has one number type. A whole number becomes an integer Scalar, so that integer tensors stay integer.
at::Scalar scalarOf(napi_env env, napi_value value) {
  bool truth;
  if (napi_get_value_bool(env, value, &truth) == napi_ok) return at::Scalar(truth);
  const double number = numberOf(env, value);
  const bool integral = number == std::floor(number) && std::abs(number) < kLargestInteger;
  return integral ? at::Scalar(static_cast<int64_t>(number)) : at::Scalar(number);
}

uint32_t lengthOf(napi_env env, napi_value value) {
  uint32_t length;
  if (napi_get_array_length(env, value, &length) != napi_ok) throw BindingError("expected an array");
  return length;
}

napi_value elementAt(napi_env env, napi_value array, uint32_t index) {
  napi_value element = nullptr;
  if (napi_get_element(env, array, index, &element) != napi_ok) throw BindingError("this thread is being terminated");
  return element;
}

bool isArray(napi_env env, napi_value value) {
  bool result = false;
  napi_is_array(env, value, &result);
  return result;
}

c10::IValue tensorList(napi_env env, napi_value value) {
  c10::List<at::Tensor> list;
  const uint32_t length = lengthOf(env, value);
  list.reserve(length);
  for (uint32_t i = 0; i < length; ++i) list.push_back(tensorAt(numberOf(env, elementAt(env, value, i))));
  return list;
}

c10::IValue optionalTensorList(napi_env env, napi_value value) {
  c10::List<c10::optional<at::Tensor>> list;
  const uint32_t length = lengthOf(env, value);
  for (uint32_t i = 0; i < length; ++i) {
    napi_value element = elementAt(env, value, i);
    if (isNothing(env, element)) list.push_back(c10::optional<at::Tensor>());
    else list.push_back(tensorAt(numberOf(env, element)));
  }
  return list;
}

c10::IValue intList(napi_env env, napi_value value, int32_t fixedLength) {
  if (!isArray(env, value)) {
    return std::vector<int64_t>(fixedLength > 0 ? fixedLength : 1, integerOf(env, value));
  }
  return intsOf(env, value);
}

c10::IValue boolList(napi_env env, napi_value value) {
  c10::List<bool> list;
  for (const double number : numbersOf(env, value)) list.push_back(number != 0);
  return list;
}

c10::IValue scalarList(napi_env env, napi_value value) {
  c10::List<at::Scalar> list;
  const uint32_t length = lengthOf(env, value);
  for (uint32_t i = 0; i < length; ++i) list.push_back(scalarOf(env, elementAt(env, value, i)));
  return list;
}

ArgumentKind kindOfElement(const c10::TypePtr& element) {
  switch (element->kind()) {
    case c10::TypeKind::TensorType: return ArgumentKind::TensorList;
    case c10::TypeKind::OptionalType: return ArgumentKind::OptionalTensorList;
    case c10::TypeKind::IntType:
    case c10::TypeKind::SymIntType: return ArgumentKind::IntList;
    case c10::TypeKind::FloatType: return ArgumentKind::FloatList;
    case c10::TypeKind::BoolType: return ArgumentKind::BoolList;
    case c10::TypeKind::NumberType: return ArgumentKind::ScalarList;
    default: return ArgumentKind::Unsupported;
  }
}

ArgumentKind kindOf(const c10::TypePtr& type) {
  switch (type->kind()) {
    case c10::TypeKind::TensorType: return ArgumentKind::Tensor;
    case c10::TypeKind::IntType:
    case c10::TypeKind::SymIntType: return ArgumentKind::Int;
    case c10::TypeKind::FloatType: return ArgumentKind::Float;
    case c10::TypeKind::BoolType: return ArgumentKind::Bool;
    case c10::TypeKind::NumberType: return ArgumentKind::Scalar;
    case c10::TypeKind::StringType: return ArgumentKind::String;
    case c10::TypeKind::DeviceObjType: return ArgumentKind::Device;
    case c10::TypeKind::GeneratorType: return ArgumentKind::Generator;
    case c10::TypeKind::ListType: return kindOfElement(type->castRaw<c10::ListType>()->getElementType());
    default: return ArgumentKind::Unsupported;
  }
}

napi_value fromTensors(napi_env env, const c10::IValue& value) {
  const auto tensors = value.toTensorVector();
  napi_value array = makeArray(env, tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    napi_set_element(env, array, static_cast<uint32_t>(i), makeNumber(env, putTensor(tensors[i])));
  }
  return array;
}

}  // namespace

std::string stringOf(napi_env env, napi_value value) {
  size_t length;
  if (napi_get_value_string_utf8(env, value, nullptr, 0, &length) != napi_ok) throw BindingError("expected a string");
  std::string result(length, '\0');
  napi_get_value_string_utf8(env, value, result.data(), length + 1, &length);
  return result;
}

std::vector<double> numbersOf(napi_env env, napi_value value) {
  const uint32_t length = lengthOf(env, value);
  std::vector<double> result(length);
  for (uint32_t i = 0; i < length; ++i) result[i] = numberOf(env, elementAt(env, value, i));
  return result;
}

std::vector<int64_t> intsOf(napi_env env, napi_value value) {
  const uint32_t length = lengthOf(env, value);
  std::vector<int64_t> result(length);
  for (uint32_t i = 0; i < length; ++i) result[i] = integerOf(env, elementAt(env, value, i));
  return result;
}

bool isNothing(napi_env env, napi_value value) {
  napi_valuetype type = napi_undefined;
  napi_typeof(env, value, &type);
  return type == napi_undefined || type == napi_null;
}

napi_value makeNumber(napi_env env, double value) {
  napi_value result = nullptr;
  napi_create_double(env, value, &result);
  return result;
}

napi_value makeBoolean(napi_env env, bool value) {
  napi_value result = nullptr;
  napi_get_boolean(env, value, &result);
  return result;
}

napi_value makeString(napi_env env, const std::string& value) {
  napi_value result = nullptr;
  napi_create_string_utf8(env, value.data(), value.size(), &result);
  return result;
}

napi_value makeNothing(napi_env env) {
  napi_value result = nullptr;
  napi_get_undefined(env, &result);
  return result;
}

napi_value makeArray(napi_env env, size_t length) {
  napi_value result = nullptr;
  napi_create_array_with_length(env, length, &result);
  return result;
}

ArgumentPlan planArgument(const c10::Argument& argument) {
  c10::TypePtr type = argument.type();
  ArgumentPlan plan{ArgumentKind::Unsupported, false, argument.N() ? *argument.N() : 0};
  if (type->kind() == c10::TypeKind::OptionalType) {
    plan.optional = true;
    type = type->castRaw<c10::OptionalType>()->getElementType();
  }
  plan.kind = kindOf(type);
  return plan;
}

c10::IValue toIValue(napi_env env, napi_value value, const ArgumentPlan& plan) {
  switch (plan.kind) {
    case ArgumentKind::Tensor: return tensorAt(numberOf(env, value));
    case ArgumentKind::TensorList: return tensorList(env, value);
    case ArgumentKind::OptionalTensorList: return optionalTensorList(env, value);
    case ArgumentKind::Int: return integerOf(env, value);
    case ArgumentKind::IntList: return intList(env, value, plan.fixedLength);
    case ArgumentKind::Float: return numberOf(env, value);
    case ArgumentKind::FloatList: return numbersOf(env, value);
    case ArgumentKind::Bool: return numberOf(env, value) != 0;
    case ArgumentKind::BoolList: return boolList(env, value);
    case ArgumentKind::Scalar: return scalarOf(env, value);
    case ArgumentKind::ScalarList: return scalarList(env, value);
    case ArgumentKind::String: return stringOf(env, value);
    case ArgumentKind::Device: return c10::Device(stringOf(env, value));
    case ArgumentKind::Generator: return generatorAt(numberOf(env, value));
    case ArgumentKind::Unsupported: break;
  }
  throw BindingError("an argument type this binding does not convert");
}

napi_value fromIValue(napi_env env, const c10::IValue& value) {
  if (value.isTensor()) {
    const at::Tensor& tensor = value.toTensor();
    return tensor.defined() ? makeNumber(env, putTensor(tensor)) : makeNothing(env);
  }
  if (value.isTensorList()) return fromTensors(env, value);
  if (value.isInt()) return makeNumber(env, static_cast<double>(value.toInt()));
  if (value.isDouble()) return makeNumber(env, value.toDouble());
  if (value.isBool()) return makeBoolean(env, value.toBool());
  if (value.isScalar()) return makeNumber(env, value.toScalar().toDouble());
  if (value.isNone()) return makeNothing(env);
  throw BindingError("a result type this binding does not convert: " + value.tagKind());
}

}  // namespace ltx
