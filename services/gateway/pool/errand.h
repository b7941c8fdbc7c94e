// A query of the pool's own on a server that is nobody's: a sign of life, or cleaning up.
#pragma once

#include <cstring>
#include <functional>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "services/gateway/pgwire/encode.h"
#include "services/gateway/pgwire/frame.h"
#include "services/gateway/pool/server.h"

namespace leasehold::gateway {

// Its loop's. Destroyed by whom `done` tells, after the call.
class Errand final : public ServerUser {
 public:
  using Done = std::function<void(Server&, bool well)>;

  Errand(Loop& loop, Server& server, std::string_view sql, absl::Duration patience, Done done)
      : loop_(loop), done_(std::move(done)) {
    server.user = this;
    timer_ = loop_.After(patience, [this, s = &server] { Finish(*s, false); });
    std::string query;
    pgwire::Query(query, sql);
    // Also when it fails: who made this is not ready for an answer yet.
    if (!server.Send(query)) failed_ = true;
    loop_.Defer([this, s = &server, alive = std::weak_ptr(alive_)] {
      if (!alive.expired()) OnServerReady(*s);
    });
  }
  ~Errand() override { loop_.Cancel(timer_); }

  void OnServerReady(Server& server) override {
    if (finished_) return;
    if (!server.Flush()) return Finish(server, false);
    while (server.readable()) {
      const Transport::Result result = server.Read(loop_.scratch());
      if (result.closed) return Finish(server, false);
      if (result.bytes == 0) return;
      server.partial.append(loop_.scratch().data(), result.bytes);
      if (!ReadAnswers(server)) return;
    }
  }

 private:
  // False: finished.
  bool ReadAnswers(Server& server) {
    std::string_view rest = server.partial;
    pgwire::Frame frame;
    while (pgwire::ReadHeader(rest, pgwire::kLargestBody, frame) == pgwire::Answer::kDone &&
           frame.size <= rest.size()) {
      if (frame.type == 'E') failed_ = true;
      if (frame.type == 'S') {
        pgwire::BodyReader body(rest.substr(pgwire::kHeaderSize, frame.size - pgwire::kHeaderSize));
        const std::string name(body.CString());
        server.NoteParameter(name, std::string(body.CString()));
      }
      if (frame.type == 'Z') {
        const bool well = !failed_ && rest[pgwire::kHeaderSize] == 'I';
        server.partial.clear();
        Finish(server, well);
        return false;
      }
      rest.remove_prefix(frame.size);
    }
    server.partial.erase(0, server.partial.size() - rest.size());
    return true;
  }

  void Finish(Server& server, bool well) {
    if (std::exchange(finished_, true)) return;
    loop_.Cancel(timer_);
    done_(server, well);
  }

  Loop& loop_;
  const Done done_;
  Loop::TimerId timer_;
  bool failed_ = false;
  bool finished_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace leasehold::gateway
