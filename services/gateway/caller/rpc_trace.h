// Each gRPC call as a span, and as a line of the log at level debug.
#pragma once

#include <grpcpp/support/server_interceptor.h>

#include <memory>

namespace leasehold::gateway {

// For ServerBuilder::experimental().SetInterceptorCreators, behind all others: answers pass them in this order, and
// what goes out in the end is told. The server needs NewGatedContexts().
std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> TraceCalls();

}  // namespace leasehold::gateway
