// Callers tell servers of their trace (common/telemetry/trace.h).
#pragma once

#include <grpcpp/support/client_interceptor.h>

#include <memory>

#include "common/telemetry/trace.h"

namespace leasehold::rpc {

// For CreateCustomChannelWithInterceptors: each call bears `trace` as its metadata `traceparent`; none, if that is
// none.
std::unique_ptr<grpc::experimental::ClientInterceptorFactoryInterface> ShowTrace(const Trace& trace);

}  // namespace leasehold::rpc
