#include "tests/stack/outputs.h"

#include <httplib.h>

#include <cstdlib>
#include <fstream>
#include <optional>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/config/config.h"

namespace leasehold::testing {

std::string Slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string LogOf(const Stack& stack, const std::string& component) {
  return Slurp(absl::StrCat(stack.state_dir(), "/log/", component, ".log"));
}

v1::Config ConfigOf(const Stack& stack) {
  return LoadConfig(stack.state_dir() + "/config.yaml", [](const char*) { return std::nullopt; }).value();
}

std::string MetricsOf(const std::string& address) {
  const httplib::Result result = httplib::Client("http://" + address).Get("/metrics");
  return result ? result->body : "";
}

bool IsReady(const std::string& address) {
  const httplib::Result result = httplib::Client("http://" + address).Get("/readyz");
  return result && result->status == 200;
}

std::string ProvisionerMetrics(const Stack& stack, const std::string& service) {
  const v1::Config config = ConfigOf(stack);
  for (const v1::ServiceConfig& known : config.services()) {
    if (known.name() == service) return MetricsOf(known.http_listen());
  }
  return "";
}

double ValueOf(const std::string& metrics, const std::string& series) {
  for (absl::string_view line : absl::StrSplit(metrics, '\n')) {
    if (absl::ConsumePrefix(&line, series + " ")) return std::strtod(std::string(line).c_str(), nullptr);
  }
  return -1;
}

}  // namespace leasehold::testing
