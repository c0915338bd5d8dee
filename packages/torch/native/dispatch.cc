// Operators by name: each overload becomes one JavaScript function. It converts its arguments by the operator's schema
// and calls the operator through the boxed dispatcher, including autograd.
#include "native.h"

#include <memory>
#include <mutex>
#include <sstream>
#include <unordered_map>

namespace ltx {
namespace {

constexpr size_t kMaxArguments = 32;

struct Operator {
  c10::OperatorHandle handle;
  std::vector<ArgumentPlan> plans;
  std::vector<c10::IValue> defaults;  // None if the schema has no default
  std::vector<bool> hasDefault;
  bool returnsSelf;  // in-place and out= forms: the caller already has the result
};

// Never freed: JavaScript may call these operators until the process ends. Shared by all environments: an operator is
// immutable once made, so only the lookup needs the lock.
std::mutex registryMutex;

std::unordered_map<std::string, std::unique_ptr<Operator>>& registry() {
  static auto* operators = new std::unordered_map<std::string, std::unique_ptr<Operator>>();
  return *operators;
}

thread_local napi_ref errorFactory = nullptr;

std::string shapeText(const c10::IValue& value) {
  std::ostringstream out;
  if (value.isTensor()) {
    const at::Tensor& tensor = value.toTensor();
    if (!tensor.defined()) return "undefined";
    out << c10::toString(tensor.scalar_type()) << tensor.sizes();
    return out.str();
  }
  if (value.isTensorList()) {
    out << "(";
    for (const auto& tensor : value.toTensorVector()) out << shapeText(tensor) << " ";
    out << ")";
    return out.str();
  }
  if (value.isNone()) return "None";
  if (value.isDevice() || value.isGenerator()) return value.tagKind();
  out << value;
  return out.str();
}

std::string argumentText(const Operator& op, const std::vector<c10::IValue>& stack) {
  const auto& arguments = op.handle.schema().arguments();
  std::string text;
  for (size_t i = 0; i < arguments.size() && i < stack.size(); ++i) {
    if (i > 0) text += ", ";
    text += arguments[i].name() + "=" + shapeText(stack[i]);
  }
  return text;
}

void pushArguments(napi_env env, const Operator& op, const napi_value* values, size_t count,
                   std::vector<c10::IValue>& stack) {
  const auto& arguments = op.handle.schema().arguments();
  for (size_t i = 0; i < op.plans.size(); ++i) {
    const bool missing = i >= count || isNothing(env, values[i]);
    if (!missing) {
      try {
        stack.push_back(toIValue(env, values[i], op.plans[i]));
      } catch (const BindingError& error) {
        throw BindingError("argument '" + arguments[i].name() + "': " + error.what());
      }
    } else if (op.hasDefault[i]) {
      stack.push_back(op.defaults[i]);
    } else if (op.plans[i].optional) {
      stack.emplace_back();
    } else {
      throw BindingError("argument '" + arguments[i].name() + "' is missing");
    }
  }
}

napi_value resultOf(napi_env env, const Operator& op, std::vector<c10::IValue>& stack) {
  if (op.returnsSelf || stack.empty()) return makeNothing(env);
  if (stack.size() == 1) return fromIValue(env, stack[0]);
  napi_value array = makeArray(env, stack.size());
  for (size_t i = 0; i < stack.size(); ++i) {
    napi_set_element(env, array, static_cast<uint32_t>(i), fromIValue(env, stack[i]));
  }
  return array;
}

napi_value callOperator(napi_env env, napi_callback_info info) {
  napi_value values[kMaxArguments];
  size_t count = kMaxArguments;
  void* data;
  napi_get_cb_info(env, info, &count, values, nullptr, &data);
  const auto& op = *static_cast<Operator*>(data);
  const size_t given = count < op.plans.size() ? count : op.plans.size();

  // Reused between calls. An operator never calls back into JavaScript, so there is no re-entry.
  static thread_local std::vector<c10::IValue> stack;
  stack.clear();
  std::string problem;
  try {
    pushArguments(env, op, values, given, stack);
    op.handle.callBoxed(&stack);
    napi_value result = resultOf(env, op, stack);
    stack.clear();
    return result;
  } catch (const c10::Error& error) {
    problem = error.what_without_backtrace();
  } catch (const std::exception& error) {
    problem = error.what();
  }
  std::ostringstream schema;
  schema << op.handle.schema();
  std::string shapes;
  if (stack.size() == op.plans.size()) shapes = argumentText(op, stack);
  stack.clear();
  throwToJs(env, op.handle.schema().operator_name().name, schema.str(), shapes, problem);
  return nullptr;
}

std::unique_ptr<Operator> makeOperator(const c10::OperatorHandle& handle) {
  auto op = std::unique_ptr<Operator>(new Operator{handle, {}, {}, {}, false});
  const auto& schema = handle.schema();
  for (const auto& argument : schema.arguments()) {
    op->plans.push_back(planArgument(argument));
    op->hasDefault.push_back(argument.default_value().has_value());
    op->defaults.push_back(argument.default_value() ? *argument.default_value() : c10::IValue());
  }
  const auto& returns = schema.returns();
  op->returnsSelf = !returns.empty() && returns[0].alias_info() != nullptr && returns[0].alias_info()->isWrite();
  return op;
}

}  // namespace

// resolve(name, overload) -> function, or undefined if this libtorch lacks the operator
napi_value resolveOperator(napi_env env, napi_callback_info info) {
  return guarded(env, "resolve", [&]() -> napi_value {
    const Arguments arguments(env, info);
    const std::string name = stringOf(env, arguments.at[0]);
    const std::string overload = stringOf(env, arguments.at[1]);
    const std::string key = name + "." + overload;
    const std::lock_guard<std::mutex> lock(registryMutex);
    auto& operators = registry();
    auto found = operators.find(key);
    if (found == operators.end()) {
      auto handle = c10::Dispatcher::singleton().findSchema({name, overload});
      if (!handle) return makeNothing(env);
      found = operators.emplace(key, makeOperator(*handle)).first;
    }
    napi_value function = nullptr;
    napi_create_function(env, key.c_str(), NAPI_AUTO_LENGTH, callOperator, found->second.get(), &function);
    return function;
  });
}

// schemas(prefix) -> the schemas of all operators whose name starts with the prefix, one string each
napi_value operatorSchemas(napi_env env, napi_callback_info info) {
  return guarded(env, "schemas", [&]() -> napi_value {
    const Arguments arguments(env, info);
    const std::string prefix = stringOf(env, arguments.at[0]);
    napi_value array = makeArray(env, 0);
    uint32_t index = 0;
    for (const auto& name : c10::Dispatcher::singleton().getAllOpNames()) {
      if (name.name.rfind(prefix, 0) != 0) continue;
      auto handle = c10::Dispatcher::singleton().findSchema(name);
      if (!handle) continue;
      std::ostringstream text;
      text << handle->schema();
      napi_set_element(env, array, index++, makeString(env, text.str()));
    }
    return array;
  });
}

// setErrorFactory((name, schema, shapes, detail) => Error)
napi_value setErrorFactory(napi_env env, napi_callback_info info) {
  const Arguments arguments(env, info);
  if (errorFactory != nullptr) napi_delete_reference(env, errorFactory);
  errorFactory = nullptr;
  napi_create_reference(env, arguments.at[0], 1, &errorFactory);
  return makeNothing(env);
}

void throwToJs(napi_env env, const std::string& name, const std::string& schema, const std::string& shapes,
               const std::string& detail) {
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (pending) return;
  napi_value factory = nullptr;
  if (errorFactory != nullptr) napi_get_reference_value(env, errorFactory, &factory);
  if (factory == nullptr) {
    napi_throw_error(env, nullptr, (name + ": " + detail).c_str());
    return;
  }
  napi_value arguments[4] = {makeString(env, name), makeString(env, schema), makeString(env, shapes),
                             makeString(env, detail)};
  napi_value error = nullptr;
  if (napi_call_function(env, makeNothing(env), factory, 4, arguments, &error) == napi_ok) napi_throw(env, error);
}

}  // namespace ltx
