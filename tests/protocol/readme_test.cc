// protocol/README.md is a promise to authors of other clients: its example frames are parsed here,
// made again by the encoder that ships, and read back by the decoder that ships. LOCKD_REWRITE=1
// writes the bytes into the README anew.
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "protocol/frame.h"
#include "protocol/frame_decoder.h"
#include "protocol/lock.pb.h"
#include "protocol/opcode.h"
#include "protocol/raft.pb.h"

namespace lockd {
namespace {

constexpr char kReadme[] = "protocol/README.md";

struct Example {
  std::string title;  // the block's first line, for messages
  FrameHeader header;
  std::unique_ptr<google::protobuf::Message> message;
  std::string hex;    // as it stands in the README
  std::string bytes;  // of `hex`
};

std::string ReadReadme() {
  std::ifstream file(kReadme, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<Opcode> KnownOpcodes() {
  std::vector<Opcode> opcodes;
  for (int number = 0; number < 256; ++number) {
    const auto opcode = static_cast<Opcode>(number);
    if (OpcodeName(opcode) != "unknown") opcodes.push_back(opcode);
  }
  return opcodes;
}

std::unique_ptr<google::protobuf::Message> NewMessage(absl::string_view name) {
  // Naming one type of each file links their descriptors in.
  (void)pb::ClientHello::descriptor();
  (void)pb::PeerHello::descriptor();
  const auto* descriptor =
      google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(
          absl::StrCat("lockd.pb.", name));
  if (descriptor == nullptr) return nullptr;
  return std::unique_ptr<google::protobuf::Message>(
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(descriptor)->New());
}

// "open-session OpenSessionRequest flags=none id=1"
bool ParseTitle(Example* example) {
  const std::vector<std::string> words = absl::StrSplit(example->title, ' ');
  if (words.size() != 4) return false;
  bool known = false;
  for (const Opcode opcode : KnownOpcodes()) {
    if (OpcodeName(opcode) != words[0]) continue;
    example->header.opcode = opcode;
    known = true;
  }
  example->message = NewMessage(words[1]);
  const std::string& flags = words[2];
  if (flags == "flags=reply") example->header.flags = kFlagReply;
  if (flags == "flags=reply+error") example->header.flags = kFlagReply | kFlagError;
  absl::string_view id = words[3];
  return known && example->message != nullptr &&
         (flags == "flags=none" || example->header.flags != 0) && absl::ConsumePrefix(&id, "id=") &&
         absl::SimpleAtoi(id, &example->header.request_id);
}

// The blocks
//
//   ```frame
//   title
//   payload in text format
//   ----
//   hex bytes
//   ```
std::vector<Example> ParseExamples(const std::string& readme) {
  std::vector<Example> examples;
  const std::vector<std::string> parts = absl::StrSplit(readme, "```frame\n");
  for (size_t i = 1; i < parts.size(); ++i) {
    const std::string block = parts[i].substr(0, parts[i].find("```"));
    Example example;
    example.title = block.substr(0, block.find('\n'));
    const size_t rule = block.find("----\n");
    if (rule == std::string::npos || !ParseTitle(&example)) {
      ADD_FAILURE() << "not an example: " << block;
      continue;
    }
    const size_t text_begin = example.title.size() + 1;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
        block.substr(text_begin, rule - text_begin), example.message.get()))
        << example.title;
    example.hex = block.substr(rule + 5);
    example.bytes =
        absl::HexStringToBytes(absl::StrReplaceAll(example.hex, {{" ", ""}, {"\n", ""}}));
    examples.push_back(std::move(example));
  }
  return examples;
}

std::string Encode(const Example& example) {
  std::string bytes;
  AppendFrame(bytes, example.header, *example.message);
  return bytes;
}

std::string ToHex(absl::string_view bytes) {
  std::string hex;
  for (size_t i = 0; i < bytes.size(); ++i) {
    absl::StrAppend(&hex, absl::BytesToHexString(bytes.substr(i, 1)),
                    i % 16 == 15 || i + 1 == bytes.size() ? "\n" : " ");
  }
  return hex;
}

class Readme : public ::testing::Test {
 protected:
  Readme() : text_(ReadReadme()), examples_(ParseExamples(text_)) {}

  std::string text_;
  std::vector<Example> examples_;
};

TEST_F(Readme, HexExamplesAreExactlyWhatTheEncoderMakes) {
  if (std::getenv("LOCKD_REWRITE") != nullptr) {
    size_t from = 0;
    for (const Example& example : examples_) {
      const size_t at = text_.find("----\n" + example.hex, text_.find(example.title, from)) + 5;
      const std::string hex = ToHex(Encode(example));
      text_.replace(at, example.hex.size(), hex);
      from = at + hex.size();
    }
    std::ofstream(kReadme, std::ios::binary) << text_;
    examples_ = ParseExamples(text_);
  }
  ASSERT_FALSE(examples_.empty());
  for (const Example& example : examples_) {
    EXPECT_EQ(example.hex, ToHex(Encode(example))) << example.title;
  }
}

TEST_F(Readme, HexExamplesAreReadBackByTheDecoder) {
  for (const Example& example : examples_) {
    FrameDecoder decoder(kPeerFrameBytesMax);
    decoder.Feed(example.bytes);
    FrameView frame;
    ASSERT_EQ(decoder.Next(&frame), FrameDecoder::Result::kFrame)
        << example.title << ": " << decoder.status();
    EXPECT_EQ(frame.header, example.header) << example.title;
    const std::unique_ptr<google::protobuf::Message> parsed(example.message->New());
    ASSERT_TRUE(
        parsed->ParseFromArray(frame.payload.data(), static_cast<int>(frame.payload.size())));
    EXPECT_EQ(parsed->DebugString(), example.message->DebugString()) << example.title;
    EXPECT_EQ(decoder.Next(&frame), FrameDecoder::Result::kNeedMore) << example.title;
  }
}

TEST_F(Readme, ShowsEveryFrameKindAndDirection) {
  std::set<std::pair<Opcode, bool>> shown;  // opcode, is reply
  for (const Example& example : examples_) {
    shown.emplace(example.header.opcode, (example.header.flags & kFlagReply) != 0);
  }
  for (const Opcode opcode : KnownOpcodes()) {
    EXPECT_TRUE(shown.count({opcode, false})) << OpcodeName(opcode);
    if (IsClientRequest(opcode)) {
      EXPECT_TRUE(shown.count({opcode, true})) << "reply of " << OpcodeName(opcode);
    }
  }
}

TEST_F(Readme, HelloExamplesFitBeforeTheHelloAndCarryTheMagicNumbers) {
  for (const Example& example : examples_) {
    if (example.header.opcode != Opcode::kHello) continue;
    EXPECT_LE(example.bytes.size(), kHelloFrameBytesMax);
    const auto* magic = example.message->GetDescriptor()->FindFieldByName("magic");
    ASSERT_NE(magic, nullptr);
    const uint64_t value = example.message->GetReflection()->GetUInt64(*example.message, magic);
    const bool is_peer = example.message->GetDescriptor()->name() == "PeerHello";
    EXPECT_EQ(value, is_peer ? kPeerMagic : kClientMagic) << example.title;
  }
}

TEST_F(Readme, TablesNameEveryOpcodeAndEveryErrorCode) {
  for (const Opcode opcode : KnownOpcodes()) {
    const std::string row =
        absl::StrCat("| ", static_cast<int>(opcode), " | ", OpcodeName(opcode), " |");
    EXPECT_NE(text_.find(row), std::string::npos) << row;
  }
  const auto* codes = pb::ErrorCode_descriptor();
  for (int i = 1; i < codes->value_count(); ++i) {
    absl::string_view name = codes->value(i)->name();
    ASSERT_TRUE(absl::ConsumePrefix(&name, "ERROR_CODE_"));
    EXPECT_NE(text_.find(absl::StrCat("`", name, "`")), std::string::npos) << name;
  }
}

// N-04
TEST(Proto, HasNoMapsAndNoTextFieldsAndNoRecursion) {
  // A map's order is unstable, text would have to be UTF-8, recursion could exhaust the stack.
  for (const auto* file :
       {pb::ClientHello::descriptor()->file(), pb::PeerHello::descriptor()->file()}) {
    for (int m = 0; m < file->message_type_count(); ++m) {
      const auto* message = file->message_type(m);
      std::vector<std::pair<const google::protobuf::Descriptor*, int>> open = {{message, 0}};
      while (!open.empty()) {
        const auto [type, depth] = open.back();
        open.pop_back();
        ASSERT_LE(depth, 4) << message->full_name();
        for (int f = 0; f < type->field_count(); ++f) {
          const auto* field = type->field(f);
          EXPECT_FALSE(field->is_map()) << field->full_name();
          EXPECT_NE(field->type(), google::protobuf::FieldDescriptor::TYPE_STRING)
              << field->full_name();
          if (field->message_type() != nullptr) open.emplace_back(field->message_type(), depth + 1);
        }
      }
    }
  }
}

}  // namespace
}  // namespace lockd
