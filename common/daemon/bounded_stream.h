// One HTTP connection, in clear or through TLS, that cannot cost more than it is worth: so many bytes read, by so late.
#pragma once

#include <httplib.h>

#include <array>
#include <string>

#include "absl/time/time.h"
#include "common/daemon/crowd.h"
#include "common/tls/handles.h"

namespace leasehold {

// One thread. Does not own the socket.
class BoundedStream : public httplib::Stream {
 public:
  struct Limits {
    size_t request_bytes;             // more is the end of the connection
    absl::Duration request_patience;  // from now until all of the request has been read
    absl::Duration answer_patience;   // from its first byte until all of it has been written
  };

  // Readable from `stop_fd` means: as if all patience were at its end. `guest`, told of when the other side is waited
  // for, outlives this.
  BoundedStream(socket_t socket, int stop_fd, Crowd::Guest& guest, const Limits& limits);
  ~BoundedStream() override;

  // From now on all bytes go through TLS, as the server's. False if the client does not shake hands in time. Once,
  // first.
  bool AcceptTls(SSL_CTX* context);
  const SSL* ssl() const { return tls_.get(); }

  bool is_readable() const override;
  bool is_writable() const override;
  ssize_t read(char* to, size_t size) override;
  ssize_t write(const char* from, size_t size) override;
  socket_t socket() const override { return socket_; }
  // Nobody here asks for addresses.
  void get_remote_ip_and_port(std::string& /*ip*/, int& /*port*/) const override {}
  void get_local_ip_and_port(std::string& /*ip*/, int& /*port*/) const override {}

 private:
  // False when it is `deadline` first, or the endpoint stops.
  bool Await(short events, absl::Time deadline) const;
  // Waits for what a call of OpenSSL's that returned `done` wants. False if that is nothing, or does not come.
  bool AwaitWanted(int done, absl::Time deadline) const;
  ssize_t Receive();
  ssize_t Send(const char* from, size_t size);

  const socket_t socket_;
  const int stop_fd_;
  Crowd::Guest& guest_;
  const Limits limits_;
  const absl::Time request_deadline_;
  absl::Time answer_deadline_ = absl::InfinitePast();  // not begun
  size_t bytes_left_;
  // httplib reads lines byte by byte.
  std::array<char, 4096> buffer_;
  size_t buffered_ = 0;
  size_t taken_ = 0;
  tls::SslPtr tls_;
};

}  // namespace leasehold
