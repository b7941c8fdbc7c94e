#include "common/status/reasons.h"

namespace leasehold {
namespace {

using absl::StatusCode;

// SQLSTATEs are those that PostgreSQL itself uses for the nearest case, so that drivers treat them alike: a suspended
// tenant is like a database with ALLOW_CONNECTIONS off (55000), one that is being made like a server that starts
// (57P03).
constexpr ReasonEntry kReasons[] = {
    {v1::REASON_UNSPECIFIED, "UNSPECIFIED", StatusCode::kInternal, "XX000"},
    {v1::REASON_INVALID_FIELD, "INVALID_FIELD", StatusCode::kInvalidArgument, "22023"},
    {v1::REASON_REQUEST_ID_REUSED, "REQUEST_ID_REUSED", StatusCode::kInvalidArgument, "22023"},
    {v1::REASON_BAD_PAGE_TOKEN, "BAD_PAGE_TOKEN", StatusCode::kInvalidArgument, "22023"},
    {v1::REASON_TENANT_NOT_FOUND, "TENANT_NOT_FOUND", StatusCode::kNotFound, "3D000"},
    {v1::REASON_SERVICE_NOT_FOUND, "SERVICE_NOT_FOUND", StatusCode::kNotFound, "3D000"},
    {v1::REASON_LEASE_NOT_FOUND, "LEASE_NOT_FOUND", StatusCode::kNotFound, "28000"},
    {v1::REASON_OPERATION_NOT_FOUND, "OPERATION_NOT_FOUND", StatusCode::kNotFound, "42704"},
    {v1::REASON_CONNECTION_NOT_FOUND, "CONNECTION_NOT_FOUND", StatusCode::kNotFound, "3D000"},
    {v1::REASON_BACKUP_NOT_FOUND, "BACKUP_NOT_FOUND", StatusCode::kNotFound, "42704"},
    {v1::REASON_TENANT_EXISTS, "TENANT_EXISTS", StatusCode::kAlreadyExists, "42710"},
    {v1::REASON_DOMAIN_TAKEN, "DOMAIN_TAKEN", StatusCode::kAlreadyExists, "23505"},
    {v1::REASON_TENANT_NOT_READY, "TENANT_NOT_READY", StatusCode::kFailedPrecondition, "57P03"},
    {v1::REASON_TENANT_SUSPENDED, "TENANT_SUSPENDED", StatusCode::kFailedPrecondition, "55000"},
    {v1::REASON_TENANT_DELETED, "TENANT_DELETED", StatusCode::kFailedPrecondition, "3D000"},
    {v1::REASON_IN_TRANSACTION, "IN_TRANSACTION", StatusCode::kFailedPrecondition, "25001"},
    {v1::REASON_SUPERSEDED, "SUPERSEDED", StatusCode::kAborted, "40001"},
    {v1::REASON_OPERATION_NOT_CANCELLABLE, "OPERATION_NOT_CANCELLABLE", StatusCode::kFailedPrecondition, "55000"},
    {v1::REASON_BACKUP_INCOMPLETE, "BACKUP_INCOMPLETE", StatusCode::kFailedPrecondition, "55000"},
    {v1::REASON_CANCELLED, "CANCELLED", StatusCode::kAborted, "57014"},
    {v1::REASON_BAD_CREDENTIALS, "BAD_CREDENTIALS", StatusCode::kUnauthenticated, "28P01"},
    {v1::REASON_LEASE_EXPIRED, "LEASE_EXPIRED", StatusCode::kUnauthenticated, "28000"},
    {v1::REASON_LEASE_REVOKED, "LEASE_REVOKED", StatusCode::kUnauthenticated, "28000"},
    {v1::REASON_LEASE_RELEASED, "LEASE_RELEASED", StatusCode::kUnauthenticated, "28000"},
    {v1::REASON_NO_CREDENTIALS, "NO_CREDENTIALS", StatusCode::kUnauthenticated, "28000"},
    {v1::REASON_BAD_TOKEN, "BAD_TOKEN", StatusCode::kUnauthenticated, "28000"},
    {v1::REASON_SWITCH_NOT_ALLOWED, "SWITCH_NOT_ALLOWED", StatusCode::kPermissionDenied, "42501"},
    {v1::REASON_NOT_PERMITTED, "NOT_PERMITTED", StatusCode::kPermissionDenied, "42501"},
    {v1::REASON_INSTANCE_UNAVAILABLE, "INSTANCE_UNAVAILABLE", StatusCode::kUnavailable, "08006"},
    {v1::REASON_REGISTRY_UNAVAILABLE, "REGISTRY_UNAVAILABLE", StatusCode::kUnavailable, "08006"},
    {v1::REASON_NATS_UNAVAILABLE, "NATS_UNAVAILABLE", StatusCode::kUnavailable, "08006"},
    {v1::REASON_SHUTTING_DOWN, "SHUTTING_DOWN", StatusCode::kUnavailable, "57P01"},
    {v1::REASON_AUDIT_UNAVAILABLE, "AUDIT_UNAVAILABLE", StatusCode::kUnavailable, "58000"},
    {v1::REASON_INSTANCE_CONNECTIONS_EXHAUSTED, "INSTANCE_CONNECTIONS_EXHAUSTED", StatusCode::kResourceExhausted,
     "53300"},
    {v1::REASON_TOO_MANY_CLIENTS, "TOO_MANY_CLIENTS", StatusCode::kResourceExhausted, "53300"},
    {v1::REASON_QUOTA_EXCEEDED, "QUOTA_EXCEEDED", StatusCode::kResourceExhausted, "53300"},
    {v1::REASON_DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", StatusCode::kDeadlineExceeded, "57014"},
    {v1::REASON_NAME_TAKEN, "NAME_TAKEN", StatusCode::kAlreadyExists, "42P04"},
    {v1::REASON_MIGRATION_FAILED, "MIGRATION_FAILED", StatusCode::kFailedPrecondition, "55000"},
    {v1::REASON_INSUFFICIENT_PRIVILEGE, "INSUFFICIENT_PRIVILEGE", StatusCode::kPermissionDenied, "42501"},
    {v1::REASON_BACKUP_DAMAGED, "BACKUP_DAMAGED", StatusCode::kDataLoss, "XX001"},
    {v1::REASON_BACKUP_FAILED, "BACKUP_FAILED", StatusCode::kFailedPrecondition, "55000"},
    {v1::REASON_MALFORMED_EVENT, "MALFORMED_EVENT", StatusCode::kInvalidArgument, "22023"},
    {v1::REASON_INTERNAL, "INTERNAL", StatusCode::kInternal, "XX000"},
};

}  // namespace

std::span<const ReasonEntry> ReasonTable() { return kReasons; }

const ReasonEntry& EntryOf(v1::Reason reason) {
  for (const ReasonEntry& entry : kReasons) {
    if (entry.reason == reason) return entry;
  }
  return EntryOf(v1::REASON_INTERNAL);
}

}  // namespace leasehold
