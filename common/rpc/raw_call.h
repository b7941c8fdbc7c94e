// One unary call of bytes as they are, for messages that no generated stub would send. Tests only.
#pragma once

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <string>

namespace leasehold::rpc {

struct RawAnswer {
  grpc::Status status;
  std::string bytes;  // if `status` is OK
};

// Blocks for 30 s at most. `method`: "/package.Service/Method". `context` carries the metadata.
inline RawAnswer CallRaw(const std::shared_ptr<grpc::Channel>& channel, grpc::ClientContext& context,
                         const std::string& method, const std::string& bytes) {
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
  const grpc::Slice slice(bytes);
  const grpc::ByteBuffer request(&slice, 1);
  grpc::ByteBuffer response;
  grpc::CompletionQueue queue;
  grpc::GenericStub stub(channel);
  const auto call = stub.PrepareUnaryCall(&context, method, request, &queue);
  call->StartCall();
  RawAnswer answer;
  call->Finish(&response, &answer.status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  grpc::Slice whole;
  if (answer.status.ok() && response.DumpToSingleSlice(&whole).ok()) answer.bytes.assign(whole.begin(), whole.end());
  return answer;
}

}  // namespace leasehold::rpc
