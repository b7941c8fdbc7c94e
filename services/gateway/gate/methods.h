// Every RPC as the policy sees it: which operation it is, and where its request says what it concerns. An RPC that is
// not in the table is allowed by nothing.
#pragma once

#include <google/protobuf/message.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace leasehold::gateway {

// Where a request names a tenant or a service.
struct Named {
  enum class How {
    kNowhere,     // the call concerns none
    kAll,         // it concerns all
    kBy,          // the field; all, if it is empty
    kOptionally,  // the field; none, if it is empty
    kByPrefix,    // the field holds "<name>.<number>": an operation, a backup, a migration run
  };
  How how = How::kNowhere;
  std::string_view field = {};  // "tenant.id"
};

struct Method {
  std::string_view name;  // "/leasehold.v1.LeaseService/AcquireLease"
  std::string_view operation;
  std::vector<Named> tenants = {};
  Named service = {};
  // It acquires a lease: what it wants of one stands in the request.
  bool acquires = false;
  // The field `id` names a lease, which says what the call concerns.
  bool of_lease = false;
  // Where the tenant's field is empty, `domain` may name one.
  bool by_domain = false;
  // Leases are shown or ended, whoever acquired them.
  bool any_lease = false;
};

std::span<const Method> Methods();

// nullptr if it is not known.
const Method* FindMethod(std::string_view name);

// The text at `field`, a path through messages; empty if there is none.
std::string TextAt(const google::protobuf::Message& request, std::string_view field);

// As Ask wants it: a name, "*" or nothing.
std::string NameIn(const google::protobuf::Message& request, const Named& named);

}  // namespace leasehold::gateway
