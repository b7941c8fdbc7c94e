#include "bench/load/rpc_load.h"

#include <grpcpp/channel.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>

#include <atomic>
#include <format>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"

namespace leasehold::bench {
namespace {

constexpr absl::Duration kCallPatience = absl::Seconds(10);

struct Call {
  std::unique_ptr<grpc::ClientContext> context;  // good for one call
  std::unique_ptr<grpc::GenericClientAsyncResponseReader> reader;
  grpc::ByteBuffer answer;
  grpc::Status status;
  absl::Time began;
};

// Some of the callers, with a completion queue and a thread of their own.
class Poller {
 public:
  Poller(const RpcLoad& load, std::atomic<int64_t>& numbers, absl::Time begin, absl::Time end)
      : method_(load.method), token_(load.token), codec_(load.codec()), numbers_(numbers), begin_(begin), end_(end) {}

  void Run(std::vector<std::unique_ptr<grpc::GenericStub>>& stubs, int callers) {
    std::vector<Call> calls(static_cast<size_t>(callers));
    for (size_t i = 0; i < calls.size(); ++i) Start(*stubs[i % stubs.size()], calls[i]);
    int under_way = callers;
    void* tag = nullptr;
    for (bool ok = false; under_way > 0 && queue_.Next(&tag, &ok);) {
      Call& call = *static_cast<Call*>(tag);
      const absl::Time now = absl::Now();
      if (now >= begin_ && now < end_) Count(call, now);
      if (now < end_) {
        Start(*stubs[static_cast<size_t>(&call - calls.data()) % stubs.size()], call);
      } else {
        --under_way;
      }
    }
    queue_.Shutdown();
  }

  RpcLoadResult& result() { return result_; }

 private:
  void Start(grpc::GenericStub& stub, Call& call) {
    call.began = absl::Now();
    call.reader.reset();
    call.context = std::make_unique<grpc::ClientContext>();
    call.context->set_deadline(absl::ToChronoTime(call.began + kCallPatience));
    if (!token_.empty()) call.context->AddMetadata("authorization", "Bearer " + token_);
    call.reader = stub.PrepareUnaryCall(call.context.get(), method_, codec_->Request(numbers_++), &queue_);
    call.reader->StartCall();
    call.reader->Finish(&call.answer, &call.status, &call);
  }

  void Count(Call& call, absl::Time now) {
    if (!call.status.ok()) {
      ++result_.errors[std::format("grpc {}", static_cast<int>(call.status.error_code()))];
    } else if (!codec_->Accept(call.answer)) {
      ++result_.errors["answer"];
    } else {
      result_.latencies.Add(now - call.began);
    }
  }

  const std::string method_;
  const std::string token_;
  const std::unique_ptr<RpcCodec> codec_;
  std::atomic<int64_t>& numbers_;
  const absl::Time begin_;
  const absl::Time end_;
  grpc::CompletionQueue queue_;
  RpcLoadResult result_;
};

}  // namespace

RpcLoadResult RunRpcLoad(const RpcLoad& load) {
  std::vector<std::unique_ptr<grpc::GenericStub>> stubs;
  for (int i = 0; i < load.channels; ++i) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // or all would share one connection
    stubs.push_back(
        std::make_unique<grpc::GenericStub>(grpc::CreateCustomChannel(load.address, load.credentials, arguments)));
  }
  std::atomic<int64_t> numbers = 0;
  const absl::Time begin = absl::Now() + load.warm_up;
  std::vector<std::unique_ptr<Poller>> pollers;
  std::vector<std::thread> threads;
  for (int i = 0; i < load.threads; ++i) {
    const int callers = load.callers * (i + 1) / load.threads - load.callers * i / load.threads;
    Poller& poller = *pollers.emplace_back(std::make_unique<Poller>(load, numbers, begin, begin + load.duration));
    threads.emplace_back([&poller, &stubs, callers] { poller.Run(stubs, callers); });
  }
  for (std::thread& thread : threads) thread.join();

  RpcLoadResult all;
  all.elapsed = load.duration;
  for (const auto& poller : pollers) {
    all.latencies.Merge(poller->result().latencies);
    for (const auto& [code, count] : poller->result().errors) all.errors[code] += count;
  }
  return all;
}

}  // namespace leasehold::bench
