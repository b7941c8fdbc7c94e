// What a caller hears whose request is no message of its type, e.g. for text that is not UTF-8. gRPC's own answer to it
// is UNIMPLEMENTED, which sends people looking in the wrong place.
#pragma once

#include <grpcpp/support/server_interceptor.h>

#include <memory>
#include <vector>

namespace leasehold::gateway {

// For ServerBuilder::experimental().SetInterceptorCreators: INVALID_ARGUMENT with REASON_INVALID_FIELD instead.
std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> RefuseUndecodableRequests();

}  // namespace leasehold::gateway
