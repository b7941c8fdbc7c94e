#include <httplib.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <format>
#include <utility>

#include "common/daemon/daemon.h"

namespace leasehold {
namespace {

constexpr int kThreads = 4;
constexpr int kMaxQueued = 64;
constexpr int kPatienceSeconds = 2;
constexpr int kMaxBodyBytes = 1024;  // nobody has a reason to send one

// httplib's own choice is SO_REUSEPORT, with which a second daemon on the same port starts without a word.
void ReuseAddress(int fd) {
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
}

}  // namespace

struct HttpEndpoint::Impl {
  httplib::Server server;
  std::thread thread;
};

HttpEndpoint::HttpEndpoint(const Health& health, const Metrics& metrics) : impl_(std::make_unique<Impl>()) {
  httplib::Server& server = impl_->server;
  server.new_task_queue = [] { return new httplib::ThreadPool(kThreads, kMaxQueued); };
  server.set_socket_options(ReuseAddress);
  server.set_keep_alive_max_count(1);
  server.set_keep_alive_timeout(kPatienceSeconds);
  server.set_read_timeout(kPatienceSeconds, 0);
  server.set_write_timeout(kPatienceSeconds, 0);
  server.set_payload_max_length(kMaxBodyBytes);
  server.set_pre_routing_handler([](const httplib::Request& request, httplib::Response& response) {
    if (request.method == "GET" || request.method == "HEAD") return httplib::Server::HandlerResponse::Unhandled;
    response.status = 405;
    response.set_header("Allow", "GET, HEAD");
    return httplib::Server::HandlerResponse::Handled;
  });

  Handle("/livez", [] { return HttpAnswer{.body = "ok\n"}; });
  Handle("/readyz", [&health] {
    return health.Ready() ? HttpAnswer{.body = "ok\n"} : HttpAnswer{.status = 503, .body = "not ready\n"};
  });
  Handle("/healthz", [&health] {
    return HttpAnswer{.status = health.Ready() ? 200 : 503, .content_type = "application/json", .body = health.Json()};
  });
  Handle("/metrics", [&metrics] {
    return HttpAnswer{.content_type = "text/plain; version=0.0.4; charset=utf-8", .body = metrics.Expose()};
  });
}

HttpEndpoint::~HttpEndpoint() { Stop(); }

void HttpEndpoint::Handle(const std::string& path, std::function<HttpAnswer()> handler) {
  impl_->server.Get(path, [handler = std::move(handler)](const httplib::Request&, httplib::Response& response) {
    HttpAnswer answer = handler();
    response.status = answer.status;
    response.set_content(std::move(answer.body), answer.content_type);
  });
}

absl::Status HttpEndpoint::Start(const HostPort& listen) {
  errno = 0;
  if (!impl_->server.bind_to_port(listen.host, listen.port)) {
    const std::string why = errno == 0 ? "the host is not known" : strerror(errno);
    return absl::FailedPreconditionError(
        std::format("cannot listen for HTTP on {} port {}: {}", listen.host, listen.port, why));
  }
  impl_->thread = std::thread([impl = impl_.get()] { impl->server.listen_after_bind(); });
  impl_->server.wait_until_ready();  // else a Stop() that comes first would be lost
  return absl::OkStatus();
}

void HttpEndpoint::Stop() {
  if (!impl_->thread.joinable()) return;
  impl_->server.stop();
  impl_->thread.join();
}

}  // namespace leasehold
