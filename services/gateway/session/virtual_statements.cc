#include "services/gateway/session/virtual_statements.h"

#include <format>

namespace leasehold::gateway {
namespace {

struct Value {
  std::optional<std::string_view> text;
  bool binary = false;
};

Value ValueOf(const pgwire::Argument& argument, const pgwire::BindBody& bind) {
  if (argument.parameter == 0) return {.text = argument.text, .binary = false};
  const auto index = static_cast<size_t>(argument.parameter) - 1;
  return {.text = bind.values[index], .binary = bind.IsBinary(index)};
}

}  // namespace

const VirtualStatements::Statement* VirtualStatements::FindStatement(std::string_view name) const {
  const auto found = statements_.find(name);
  return found == statements_.end() ? nullptr : &found->second;
}

void VirtualStatements::CloseStatement(std::string_view name) {
  if (const auto found = statements_.find(name); found != statements_.end()) statements_.erase(found);
}

void VirtualStatements::ClosePortal(std::string_view name) {
  if (const auto found = portals_.find(name); found != portals_.end()) portals_.erase(found);
}

Portal* VirtualStatements::FindPortal(std::string_view name) {
  const auto found = portals_.find(name);
  return found == portals_.end() ? nullptr : &found->second;
}

std::optional<BindFailure> BindCommand(const pgwire::Command& command, const pgwire::BindBody& bind, Binding& out) {
  if (bind.values.size() != command.parameter_types.size()) {
    return BindFailure{.code = "08P01",
                       .message = std::format("bind message supplies {} parameters, but the statement requires {}",
                                              bind.values.size(), command.parameter_types.size())};
  }
  out.binary_result = bind.ResultIsBinary(0);
  const Value tenant = ValueOf(command.tenant, bind);
  if (tenant.text) out.tenant = std::string(*tenant.text);  // text's binary form is the text
  const Value is_local = ValueOf(command.is_local, bind);
  if (!is_local.text) return std::nullopt;
  const std::optional<bool> flag =
      is_local.binary ? (is_local.text->size() == 1 ? std::optional((*is_local.text)[0] != 0) : std::nullopt)
                      : pgwire::ParseBool(*is_local.text);
  if (!flag) return BindFailure{.code = "22P02", .message = "invalid input for type boolean: set_config's is_local"};
  out.is_local = *flag;
  return std::nullopt;
}

}  // namespace leasehold::gateway
