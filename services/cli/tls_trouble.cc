#include "services/cli/tls_trouble.h"

#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <memory>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/tls/handles.h"

namespace leasehold::cli {

int ConnectBriefly(const HostPort& address) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(address.host.c_str(), absl::StrCat(address.port).c_str(), &hints, &found) != 0) return -1;
  const absl::Cleanup release = [found] { freeaddrinfo(found); };
  const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  const timeval patience = {.tv_sec = 0, .tv_usec = 500'000};
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  if (connect(fd, found->ai_addr, found->ai_addrlen) == 0) return fd;
  close(fd);
  return -1;
}

std::string TlsTrouble(const HostPort& address, const tls::Credentials* credentials) {
  const int fd = ConnectBriefly(address);
  if (fd < 0) return "";
  const absl::Cleanup hang_up = [fd] { close(fd); };
  const auto anybody = tls::Credentials::Read({.role = tls::Role::kClient}, absl::Now());
  if (!anybody.ok()) return "";
  const tls::SslPtr ssl(SSL_new((credentials == nullptr ? **anybody : *credentials).context()));
  // gRPC's servers want to hear which protocol is spoken.
  static constexpr unsigned char kHttp2[] = "\x02h2";
  SSL_set_alpn_protos(ssl.get(), kHttp2, sizeof(kHttp2) - 1);
  SSL_set_fd(ssl.get(), fd);
  if (credentials != nullptr) tls::ExpectHost(ssl.get(), address.host);
  const bool shook_hands = SSL_connect(ssl.get()) == 1;
  const std::string error = shook_hands ? "" : tls::LastError();
  if (credentials == nullptr) {
    return SSL_get0_peer_certificate(ssl.get()) == nullptr
               ? ""
               : "speaks TLS; give the CA of its certificate with --ca or LEASEHOLD_CA";
  }
  if (shook_hands) return "does not take us; give a client certificate that it knows with --cert and --key";
  const long verdict = SSL_get_verify_result(ssl.get());
  if (verdict != X509_V_OK) {
    return absl::StrCat("shows a certificate that is not believed: ", X509_verify_cert_error_string(verdict),
                        "; --ca says whom to believe");
  }
  return absl::StrCat("does not speak TLS as we do: ", error, "; leave --ca and LEASEHOLD_CA out to speak in clear");
}

}  // namespace leasehold::cli
