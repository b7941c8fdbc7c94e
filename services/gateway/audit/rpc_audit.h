// Records gRPC calls as they end: what FindAuditedCall() names, and every call that was refused for who called.
#pragma once

#include <grpcpp/support/server_interceptor.h>

#include <memory>

#include "services/gateway/audit/recorder.h"

namespace leasehold::gateway {

// For ServerBuilder::experimental().SetInterceptorCreators. `recorder` outlives the server. With `audit.on_failure:
// refuse` a change is answered when its event is stored, and with AUDIT_UNAVAILABLE if that does not work: it was made
// all the same.
std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> RecordCalls(AuditRecorder& recorder);

}  // namespace leasehold::gateway
