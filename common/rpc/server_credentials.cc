#include "common/rpc/server_credentials.h"

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>

#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/log/absl_check.h"
#include "absl/synchronization/mutex.h"

namespace leasehold::rpc {
namespace {

// The C++ interface has no credentials that change but those which read files themselves, of which a bad one takes the
// good one's place; the core asks a function before each handshake.
class LiveServerCredentials final : public grpc::ServerCredentials {
 public:
  LiveServerCredentials(std::shared_ptr<const tls::LiveCredentials> live,
                        grpc_ssl_client_certificate_request_type request)
      : live_(std::move(live)),
        // The options are the credentials' from then on.
        credentials_(grpc_ssl_server_credentials_create_with_options(
            grpc_ssl_server_credentials_create_options_using_config_fetcher(request, Fetch, this))) {}
  ~LiveServerCredentials() override { grpc_server_credentials_release(credentials_); }

  void SetAuthMetadataProcessor(const std::shared_ptr<grpc::AuthMetadataProcessor>&) override {
    ABSL_CHECK(false) << "callers are told apart by an interceptor";
  }

 private:
  int AddPortToServer(const std::string& address, grpc_server* server) override {
    return grpc_server_add_http2_port(server, address.c_str(), credentials_);
  }

  // Any thread of gRPC's.
  static grpc_ssl_certificate_config_reload_status Fetch(void* user, grpc_ssl_server_certificate_config** config) {
    auto& self = *static_cast<LiveServerCredentials*>(user);
    absl::MutexLock lock(&self.mu_);
    const uint64_t version = self.live_->version();
    if (version == self.given_) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    const std::shared_ptr<const tls::Credentials> credentials = self.live_->Get();
    const std::string key(credentials->key_pem().reveal());
    const grpc_ssl_pem_key_cert_pair pair = {.private_key = key.c_str(),
                                             .cert_chain = credentials->certificate_pem().c_str()};
    // gRPC insists on CAs also where it asks no client for a certificate.
    const std::string& ca = credentials->ca_pem().empty() ? credentials->certificate_pem() : credentials->ca_pem();
    *config = grpc_ssl_server_certificate_config_create(ca.c_str(), &pair, 1);
    self.given_ = version;
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
  }

  const std::shared_ptr<const tls::LiveCredentials> live_;
  absl::Mutex mu_;
  uint64_t given_ ABSL_GUARDED_BY(mu_) = 0;
  grpc_server_credentials* const credentials_;
};

}  // namespace

std::shared_ptr<grpc::ServerCredentials> ServerCredentials(std::shared_ptr<const tls::LiveCredentials> live,
                                                           ClientCertificate client) {
  if (live == nullptr) return grpc::InsecureServerCredentials();
  grpc_ssl_client_certificate_request_type request = GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE;
  if (client == ClientCertificate::kOptional) request = GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY;
  if (client == ClientCertificate::kRequired) request = GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY;
  return std::make_shared<LiveServerCredentials>(std::move(live), request);
}

}  // namespace leasehold::rpc
