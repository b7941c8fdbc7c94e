// What the daemons of a stack say: logs and metrics.
#pragma once

#include <string>

#include "leasehold/v1/config.pb.h"
#include "tests/stack/stack.h"

namespace leasehold::testing {

// Empty if it is no file, or none that can be read.
std::string Slurp(const std::string& path);

// "gateway", "provisioner-alpha".
std::string LogOf(const Stack& stack, const std::string& component);

// What the daemons were started with.
v1::Config ConfigOf(const Stack& stack);

// Of whoever serves HTTP at host:port; empty if nobody answers.
std::string MetricsOf(const std::string& address);
std::string ProvisionerMetrics(const Stack& stack, const std::string& service);
bool IsReady(const std::string& address);

// Of a series as it is written, with its labels; -1 if there is none.
double ValueOf(const std::string& metrics, const std::string& series);

}  // namespace leasehold::testing
