// What tests do to tenants of a stack through its API, and what is left of them on the instance of service alpha.
#pragma once

#include <string>

#include "absl/time/time.h"
#include "tests/stack/stack.h"

namespace leasehold::testing {

// Of its database and of its owner, in service alpha.
std::string NameOf(const std::string& id);

// None of them waits.
void Create(Stack& stack, const std::string& id);
void Suspend(Stack& stack, const std::string& id);
void Delete(Stack& stack, const std::string& id, absl::Duration retention = absl::ZeroDuration());

// Deletes all tenants for good and waits until they are gone: hundreds of them fill a disk, and /tmp may be memory.
void RemoveAll(Stack& stack);

// As it is now; without an id if there is none.
v1::Operation OperationOf(Stack& stack, const std::string& id);

// As the registry has it from alpha's provisioners.
v1::ServiceState AlphaStateOf(Stack& stack, const std::string& id);
// The roles exist, and neither may log in; or both may.
bool IsClosed(Stack& stack, const std::string& id);
bool IsOpen(Stack& stack, const std::string& id);
// No database, no role, and nothing half made or half dropped.
bool NothingIsLeftOf(Stack& stack, const std::string& id);

// The table of alpha's migrations.
void WriteNote(Stack& stack, const std::string& id, const std::string& body);
std::string NotesOf(Stack& stack, const std::string& id);  // all, by age: "a, b"; "none"

}  // namespace leasehold::testing
