// Leasehold's nouns as people read them.
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "google/protobuf/repeated_ptr_field.h"
#include "leasehold/v1/audit.pb.h"
#include "leasehold/v1/backup.pb.h"
#include "leasehold/v1/doctor.pb.h"
#include "leasehold/v1/instance.pb.h"
#include "leasehold/v1/lease.pb.h"
#include "leasehold/v1/operation.pb.h"
#include "leasehold/v1/pool.pb.h"
#include "leasehold/v1/status.pb.h"
#include "leasehold/v1/tenant.pb.h"
#include "services/cli/terminal.h"

namespace leasehold::cli {

// "active", "provisioning" …: the value's name without its enum's prefix, in lower case.
std::string Word(v1::TenantState state);
std::string Word(v1::ServiceState state);
std::string Word(v1::LeaseState state);
std::string Word(v1::OperationState state);
std::string Word(v1::OperationKind kind);
std::string Word(v1::BackupState state);

// What may stand behind --state: all but the unspecified one.
std::vector<std::string> TenantStateWords();
// The state with that word, in either case; UNSPECIFIED if there is none.
v1::TenantState TenantStateOf(std::string_view word);

struct View {
  const Terminal& terminal;
  absl::Time now;
};

std::string ShowTenant(const v1::Tenant& tenant, const View& view);
std::string ShowTenants(const google::protobuf::RepeatedPtrField<v1::Tenant>& tenants, const View& view);
// One line: state and how many services are ready.
std::string TenantLine(const v1::Tenant& tenant, const View& view);

std::string ShowLease(const v1::Lease& lease, const View& view);
std::string ShowLeases(const google::protobuf::RepeatedPtrField<v1::Lease>& leases, const View& view);
// The lease and how to connect with it, password included.
std::string ShowAcquired(const v1::AcquireLeaseResponse& response, const View& view);

std::string ShowOperation(const v1::Operation& operation, const View& view);
std::string ShowOperations(const google::protobuf::RepeatedPtrField<v1::Operation>& operations, const View& view);

std::string ShowBackup(const v1::Backup& backup, const View& view);
std::string ShowBackups(const google::protobuf::RepeatedPtrField<v1::Backup>& backups, const View& view);
// "12 KiB", "3.4 MiB".
std::string Bytes(int64_t bytes);
// What its services have written: "12 MiB of 40 MiB", "12 MiB" while one of them does not know its total; empty for
// nothing.
std::string WrittenOf(const v1::Operation& operation);
// The same in hundredths; -1 if that is not known.
int PercentOf(const v1::Operation& operation);

// Two digits or three: "0.18ms", "4.2ms", "120ms", "1.5s".
std::string Took(absl::Duration d);

// The pools, then what each tenant has of them.
std::string ShowPools(const google::protobuf::RepeatedPtrField<v1::Pool>& pools, const Terminal& terminal);

std::string Word(v1::AuditAction action);  // "lease-acquire"
std::string ShowAudit(const google::protobuf::RepeatedPtrField<v1::AuditEvent>& events, const Terminal& terminal);
// One event as it comes.
std::string AuditLine(const v1::AuditEvent& event, const Terminal& terminal);

std::string Word(v1::FindingKind kind);
std::string Word(v1::FindingRemedy remedy);
// The services, then what was found.
std::string ShowDiagnosis(const v1::DiagnoseResponse& diagnosis, const View& view);
// The whole of it on one screen, what is not well at the end.
std::string ShowStatus(const v1::GetStatusResponse& status, const View& view);
// The instances, then their databases.
std::string ShowInstances(const google::protobuf::RepeatedPtrField<v1::Instance>& instances, const View& view);

// Something waits for somebody.
bool NeedsSomebody(const v1::DiagnoseResponse& diagnosis);

}  // namespace leasehold::cli
