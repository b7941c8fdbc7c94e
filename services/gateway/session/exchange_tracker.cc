#include "services/gateway/session/exchange_tracker.h"

namespace leasehold::gateway {

void ExchangeTracker::Sent(char type) {
  switch (type) {
    case 'Q':
    case 'F':
      if (failed_) return;  // skipped by the server
      [[fallthrough]];
    case 'S':
      ++syncs_;
      last_sync_ = type;
      steps_ = answered_ = 0;
      failed_ = ran_ = false;
      break;
    case 'B':
    case 'E':
      ran_ = true;
      [[fallthrough]];
    case 'P':
    case 'D':
    case 'C':
      ++steps_;
      break;
    default:  // Flush and COPY data are not answered
      break;
  }
}

void ExchangeTracker::Received(char type, char status) {
  switch (type) {
    case 'Z':
      if (ready_ < syncs_) ++ready_;
      status_ = status;
      last_failed_ = error_seen_;
      error_seen_ = false;
      break;
    case 'E':
      error_seen_ = true;
      if (ready_ == syncs_) failed_ = true;
      break;
    case '1':  // ParseComplete
    case '2':  // BindComplete
    case '3':  // CloseComplete
    case 'n':  // NoData
    case 'T':  // RowDescription
    case 'C':  // CommandComplete
    case 'I':  // EmptyQueryResponse
    case 's':  // PortalSuspended
      if (ready_ == syncs_) ++answered_;
      break;
    case 'G':
      // COPY FROM STDIN swallows the Sync that a client sent behind its Execute; the client sends another after
      // CopyDone.
      if (ready_ < syncs_ && last_sync_ == 'S') {
        ready_ = syncs_;
        steps_ = 1;
        answered_ = 0;
        ran_ = true;
      }
      break;
    default:
      break;
  }
}

}  // namespace leasehold::gateway
