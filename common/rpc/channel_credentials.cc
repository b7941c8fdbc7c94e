#include "common/rpc/channel_credentials.h"

#include <string>

namespace leasehold::rpc {

std::shared_ptr<grpc::ChannelCredentials> ChannelCredentials(const tls::Credentials* credentials) {
  if (credentials == nullptr) return grpc::InsecureChannelCredentials();
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = credentials->ca_pem();
  options.pem_private_key = std::string(credentials->key_pem().reveal());
  options.pem_cert_chain = credentials->certificate_pem();
  return grpc::SslCredentials(options);
}

}  // namespace leasehold::rpc
