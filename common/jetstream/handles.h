// Owners for nats.c's objects.
#pragma once

#include <nats/nats.h>

#include <memory>

namespace leasehold::jetstream {

template <auto kDestroy>
struct NatsDeleter {
  template <typename T>
  void operator()(T* object) const {
    kDestroy(object);
  }
};

using NatsOptionsPtr = std::unique_ptr<natsOptions, NatsDeleter<natsOptions_Destroy>>;
using NatsConnectionPtr = std::unique_ptr<natsConnection, NatsDeleter<natsConnection_Destroy>>;
using NatsMsgPtr = std::unique_ptr<natsMsg, NatsDeleter<natsMsg_Destroy>>;
using NatsSubscriptionPtr = std::unique_ptr<natsSubscription, NatsDeleter<natsSubscription_Destroy>>;
using JsCtxPtr = std::unique_ptr<jsCtx, NatsDeleter<jsCtx_Destroy>>;
using JsStreamInfoPtr = std::unique_ptr<jsStreamInfo, NatsDeleter<jsStreamInfo_Destroy>>;
using JsMsgMetaDataPtr = std::unique_ptr<jsMsgMetaData, NatsDeleter<jsMsgMetaData_Destroy>>;
using JsConsumerInfoPtr = std::unique_ptr<jsConsumerInfo, NatsDeleter<jsConsumerInfo_Destroy>>;
using KvStorePtr = std::unique_ptr<kvStore, NatsDeleter<kvStore_Destroy>>;
using KvEntryPtr = std::unique_ptr<kvEntry, NatsDeleter<kvEntry_Destroy>>;
using KvWatcherPtr = std::unique_ptr<kvWatcher, NatsDeleter<kvWatcher_Destroy>>;

}  // namespace leasehold::jetstream
