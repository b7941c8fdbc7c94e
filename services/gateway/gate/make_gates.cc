// Writes the gates: for each RPC of the proto files a method that asks RefusalOf() before it calls the service's own,
// which is at work for the call's trace. So an RPC that is added later is behind the gate without anybody's thinking of
// it.
//
// make_gates DESCRIPTORS NOUN… writes to stdout those of leasehold/v1/NOUN.proto's services; DESCRIPTORS is what
// protoc --descriptor_set_out made of these files.
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <fstream>
#include <iostream>
#include <string>

namespace {

using google::protobuf::MethodDescriptor;
using google::protobuf::ServiceDescriptor;

std::string TypeOf(const google::protobuf::Descriptor& message) { return "v1::" + message.name(); }

void WriteMethod(const MethodDescriptor& method, std::ostream& out) {
  const std::string request = TypeOf(*method.input_type());
  const std::string response = TypeOf(*method.output_type());
  if (method.server_streaming()) {
    out << "  grpc::ServerWriteReactor<" << response << ">* " << method.name()
        << "(grpc::CallbackServerContext* context, const " << request << "* request) override {\n"
        << "    if (absl::Status refusal = RefusalOf(*context); !refusal.ok()) return Refused<" << response
        << ">(refusal);\n    const TraceScope scope(TraceOf(*context));\n"
        << "    return service_." << method.name() << "(context, request);\n  }\n";
    return;
  }
  out << "  grpc::ServerUnaryReactor* " << method.name() << "(grpc::CallbackServerContext* context, const " << request
      << "* request, " << response << "* response) override {\n"
      << "    if (absl::Status refusal = RefusalOf(*context); !refusal.ok()) return AnswerNow(context, refusal);\n"
      << "    const TraceScope scope(TraceOf(*context));\n"
      << "    return service_." << method.name() << "(context, request, response);\n  }\n";
}

bool WriteService(const ServiceDescriptor& service, std::ostream& out) {
  const std::string base = "v1::" + service.name() + "::CallbackService";
  out << "class " << service.name() << "Gate final : public " << base << ", public Gated {\n public:\n  explicit "
      << service.name() << "Gate(" << base
      << "& behind) : service_(behind) {}\n  grpc::Service* service() override { return this; }\n";
  for (int i = 0; i < service.method_count(); ++i) {
    // What streams requests is seen by the gate once, without a request.
    if (service.method(i)->client_streaming()) return false;
    WriteMethod(*service.method(i), out);
  }
  out << "\n private:\n  " << base << "& service_;\n};\n\n";
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  google::protobuf::FileDescriptorSet files;
  std::ifstream descriptors(argc > 1 ? argv[1] : "", std::ios::binary);
  if (!files.ParseFromIstream(&descriptors)) {
    std::cerr << "make_gates: the first argument is no file of descriptors\n";
    return 1;
  }
  google::protobuf::DescriptorPool pool;
  for (const auto& file : files.file()) pool.BuildFile(file);

  std::cout << "// Made by make_gates.cc.\n#pragma once\n\n#include \"services/gateway/api/stream.h\"\n"
               "#include \"services/gateway/api/unary.h\"\n#include \"services/gateway/caller/caller.h\"\n"
               "#include \"services/gateway/gate/gate.h\"\n";
  for (int i = 2; i < argc; ++i) std::cout << "#include \"leasehold/v1/" << argv[i] << ".grpc.pb.h\"\n";
  std::cout << "\nnamespace leasehold::gateway {\n\n";
  for (int i = 2; i < argc; ++i) {
    const auto* file = pool.FindFileByName("leasehold/v1/" + std::string(argv[i]) + ".proto");
    if (file == nullptr) {
      std::cerr << "make_gates: there is no leasehold/v1/" << argv[i] << ".proto\n";
      return 1;
    }
    for (int j = 0; j < file->service_count(); ++j) {
      if (WriteService(*file->service(j), std::cout)) continue;
      std::cerr << "make_gates: " << file->service(j)->full_name() << " streams requests, which no gate can check\n";
      return 1;
    }
  }
  std::cout << "}  // namespace leasehold::gateway\n";
  return 0;
}
