// Why PostgreSQL calls a database in use.
#pragma once

#include <string_view>

namespace leasehold::provisioner {

// What follows "renaming the database: " for an error of SQLSTATE 55006 (object_in_use) whose text, with its detail, is
// `text`. A server that speaks another language than English is not understood: then only that it is in use.
std::string_view WhyInUse(std::string_view text);

}  // namespace leasehold::provisioner
