// Frames as each protocol version encoded them: what a client or a node of an older lockd sends.
// One for each message of lock.proto and raft.proto, with all its fields set. A field that came
// later is not in them: what is left out must still mean what it meant.
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "protocol/frame.h"
#include "protocol/frame_decoder.h"
#include "protocol/lock.pb.h"
#include "protocol/opcode.h"
#include "protocol/raft.pb.h"

namespace lockd {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// Three lines for each: the message's name, what is in it, and the frame in hex. Messages are
// added, what is there is never changed.
constexpr char kFile[] = "tests/testdata/golden/frames-v1.txt";
static_assert(kProtocolVersionMin == 1 && kProtocolVersionMax == 1,
              "a new protocol version needs a golden file of its own");

struct Golden {
  std::string text;   // the message, in protobuf's text format
  std::string bytes;  // the frame
};

std::map<std::string, Golden> ReadFrames() {
  std::map<std::string, Golden> frames;
  std::ifstream file(kFile);
  std::string name;
  std::string text;
  std::string hex;
  while (std::getline(file, name) && std::getline(file, text) && std::getline(file, hex)) {
    frames[name] = {text, absl::HexStringToBytes(hex)};
  }
  return frames;
}

std::unique_ptr<Message> New(const Descriptor* descriptor) {
  return std::unique_ptr<Message>(
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(descriptor)->New());
}

// Sets every field, each to a value of its own; lists get two elements.
void Fill(Message* message, int depth = 0) {
  const auto* reflection = message->GetReflection();
  const Descriptor* descriptor = message->GetDescriptor();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const FieldDescriptor* field = descriptor->field(i);
    const uint64_t value =
        100 * static_cast<uint64_t>(field->number()) + static_cast<uint64_t>(depth);
    for (int n = 0; n < (field->is_repeated() ? 2 : 1); ++n) {
      const bool adds = field->is_repeated();
      switch (field->cpp_type()) {
        case FieldDescriptor::CPPTYPE_UINT64:
          adds ? reflection->AddUInt64(message, field, value << 33)
               : reflection->SetUInt64(message, field, value << 33);
          break;
        case FieldDescriptor::CPPTYPE_UINT32:
          reflection->SetUInt32(message, field, static_cast<uint32_t>(value));
          break;
        case FieldDescriptor::CPPTYPE_INT64:
          reflection->SetInt64(message, field, -static_cast<int64_t>(value));
          break;
        case FieldDescriptor::CPPTYPE_BOOL:
          reflection->SetBool(message, field, true);
          break;
        case FieldDescriptor::CPPTYPE_ENUM: {
          const auto* type = field->enum_type();
          reflection->SetEnum(message, field, type->value(type->value_count() - 1));
          break;
        }
        case FieldDescriptor::CPPTYPE_STRING:
          reflection->SetString(message, field, absl::StrCat(field->name(), std::string(1, '\0')));
          break;
        case FieldDescriptor::CPPTYPE_MESSAGE:
          Fill(adds ? reflection->AddMessage(message, field)
                    : reflection->MutableMessage(message, field),
               depth + 1);
          break;
        default:
          FAIL() << field->full_name() << " has a type that this test does not know";
      }
    }
  }
}

// "OpenSessionReply" is carried by open-session; what only stands inside others, by any kind.
FrameHeader HeaderFor(const std::string& name) {
  absl::string_view stem = name;
  FrameHeader header{.opcode = Opcode::kReason, .flags = 0, .group = {}, .request_id = 7};
  if (absl::ConsumeSuffix(&stem, "Reply")) header.flags = kFlagReply;
  if (absl::ConsumeSuffix(&stem, "Hello")) stem = "Hello";
  (void)absl::ConsumeSuffix(&stem, "Request");
  std::string kind;
  for (const char letter : stem) {
    if (absl::ascii_isupper(static_cast<unsigned char>(letter)) && !kind.empty()) kind += '-';
    kind += absl::ascii_tolower(static_cast<unsigned char>(letter));
  }
  for (int number = 0; number < 256; ++number) {
    if (OpcodeName(static_cast<Opcode>(number)) == kind) {
      header.opcode = static_cast<Opcode>(number);
    }
  }
  return header;
}

std::string Encode(const std::string& name, const Message& message) {
  std::string bytes;
  AppendFrame(bytes, HeaderFor(name), message);
  return bytes;
}

class GoldenFrames : public ::testing::Test {
 protected:
  static std::vector<const Descriptor*> AllMessages() {
    std::vector<const Descriptor*> all;
    for (const auto* file :
         {pb::ClientHello::descriptor()->file(), pb::PeerHello::descriptor()->file()}) {
      for (int i = 0; i < file->message_type_count(); ++i) all.push_back(file->message_type(i));
    }
    return all;
  }
};

TEST_F(GoldenFrames, ThereIsOneForEveryMessage) {
  const std::map<std::string, Golden> frames = ReadFrames();
  for (const Descriptor* descriptor : AllMessages()) {
    if (frames.count(descriptor->name()) > 0) continue;
    if (std::getenv("LOCKD_REWRITE") == nullptr) {
      ADD_FAILURE() << "no frame for " << descriptor->name() << "; LOCKD_REWRITE=1 adds it";
      continue;
    }
    const std::unique_ptr<Message> message = New(descriptor);
    Fill(message.get());
    std::ofstream(kFile, std::ios::app)
        << descriptor->name() << '\n'
        << message->ShortDebugString() << '\n'
        << absl::BytesToHexString(Encode(descriptor->name(), *message)) << '\n';
  }
}

TEST_F(GoldenFrames, AreReadAndWrittenAgainByThePresentCode) {
  const std::map<std::string, Golden> frames = ReadFrames();
  ASSERT_FALSE(frames.empty());
  for (const auto& [name, golden] : frames) {
    const Descriptor* descriptor =
        google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(
            absl::StrCat("lockd.pb.", name));
    ASSERT_NE(descriptor, nullptr) << name << " is gone";
    FrameDecoder decoder(kPeerFrameBytesMax);
    decoder.Feed(golden.bytes);
    FrameView frame;
    ASSERT_EQ(decoder.Next(&frame), FrameDecoder::Result::kFrame) << name << decoder.status();
    EXPECT_EQ(frame.header, HeaderFor(name)) << name;
    const std::unique_ptr<Message> message = New(descriptor);
    ASSERT_TRUE(
        message->ParseFromArray(frame.payload.data(), static_cast<int>(frame.payload.size())));
    EXPECT_TRUE(message->GetReflection()->GetUnknownFields(*message).empty()) << name;
    EXPECT_EQ(absl::BytesToHexString(Encode(name, *message)), absl::BytesToHexString(golden.bytes));
    // Every field under its own name and number.
    const std::unique_ptr<Message> told = New(descriptor);
    ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(golden.text, told.get())) << name;
    EXPECT_EQ(message->DebugString(), told->DebugString());
  }
}

}  // namespace
}  // namespace lockd
