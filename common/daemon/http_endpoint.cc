#include <httplib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <format>
#include <utility>

#include "absl/log/absl_check.h"
#include "common/daemon/bounded_stream.h"
#include "common/daemon/crowd.h"
#include "common/daemon/daemon.h"

namespace leasehold {
namespace {

constexpr int kMaxBodyBytes = 1024;  // nobody has a reason to send one

// httplib's own choice is SO_REUSEPORT, with which a second daemon on the same port starts without a word.
void ReuseAddress(int fd) {
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
}

// One request a connection, through a BoundedStream: httplib's own time-outs start again with each byte.
class BoundedServer : public httplib::Server {
 public:
  BoundedServer(const BoundedStream::Limits& limits, size_t threads, std::shared_ptr<const tls::LiveCredentials> tls)
      : limits_(limits), crowd_(threads), tls_(std::move(tls)), stop_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    ABSL_CHECK(stop_fd_ >= 0) << "no file descriptor left";
  }
  ~BoundedServer() override { close(stop_fd_); }

  // After binding. httplib's own queue holds 5, and who does not fit tries again only after a second.
  void AcceptBursts(int connections) { ::listen(svr_sock_, connections); }

  // Before stop(): nobody is waited for.
  void DropConnections() { eventfd_write(stop_fd_, 1); }

  Crowd& crowd() { return crowd_; }

 private:
  bool process_and_close_socket(socket_t socket) override {
    const bool answered = Answer(socket);
    shutdown(socket, SHUT_RDWR);
    close(socket);
    return answered;
  }

  bool Answer(socket_t socket) {
    Crowd::Guest guest(crowd_, socket);
    BoundedStream stream(socket, stop_fd_, guest, limits_);
    if (tls_ != nullptr && !stream.AcceptTls(tls_->Get()->context())) return false;
    bool closed = false;
    return stream.is_readable() &&
           process_request(stream, "", 0, "", 0, true, closed,
                           [&stream](httplib::Request& request) { request.ssl = stream.ssl(); });
  }

  const BoundedStream::Limits limits_;
  Crowd crowd_;
  const std::shared_ptr<const tls::LiveCredentials> tls_;
  const int stop_fd_;
};

// Threads, and whoever waits for one: somebody gives way then.
class Desks : public httplib::TaskQueue {
 public:
  Desks(const HttpLimits& limits, Crowd& crowd) : threads_(limits.served, limits.waiting), crowd_(crowd) {}

  bool enqueue(std::function<void()> serve) override {
    crowd_.Arrive();
    const bool fits = threads_.enqueue(std::move(serve));
    if (!fits) crowd_.Leave();
    return fits;
  }
  void shutdown() override { threads_.shutdown(); }

 private:
  httplib::ThreadPool threads_;
  Crowd& crowd_;
};

// Of a request through TLS that needs one.
bool ShowsCertificate(const httplib::Request& request) {
  return request.ssl != nullptr && SSL_get0_peer_certificate(request.ssl) != nullptr;
}

}  // namespace

struct HttpEndpoint::Impl {
  Impl(const HttpLimits& limits, std::shared_ptr<const tls::LiveCredentials> tls)
      : server({.request_bytes = limits.request_bytes,
                .request_patience = limits.patience,
                .answer_patience = limits.patience},
               limits.served, std::move(tls)),
        backlog(limits.served + limits.waiting) {}
  BoundedServer server;
  const int backlog;
  std::thread thread;
};

HttpEndpoint::HttpEndpoint(const Health& health, const Metrics& metrics, HttpLimits limits,
                           std::shared_ptr<const tls::LiveCredentials> tls)
    : impl_(std::make_unique<Impl>(limits, tls)) {
  BoundedServer& server = impl_->server;
  server.new_task_queue = [limits, &server] { return new Desks(limits, server.crowd()); };
  server.set_socket_options(ReuseAddress);
  server.set_payload_max_length(kMaxBodyBytes);
  server.set_pre_routing_handler([tls](const httplib::Request& request, httplib::Response& response) {
    const bool open = request.path == "/livez" || request.path == "/readyz" || request.path == "/servingz";
    if (tls != nullptr && !open && !tls->Get()->ca_pem().empty() && !ShowsCertificate(request)) {
      response.status = 401;
      response.set_content("a client certificate is needed\n", "text/plain; charset=utf-8");
      return httplib::Server::HandlerResponse::Handled;
    }
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
  impl_->server.AcceptBursts(impl_->backlog);
  impl_->thread = std::thread([impl = impl_.get()] { impl->server.listen_after_bind(); });
  impl_->server.wait_until_ready();  // else a Stop() that comes first would be lost
  return absl::OkStatus();
}

void HttpEndpoint::Stop() {
  if (!impl_->thread.joinable()) return;
  impl_->server.DropConnections();
  impl_->server.stop();
  impl_->thread.join();
}

}  // namespace leasehold
