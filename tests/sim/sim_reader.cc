#include "tests/sim/sim_reader.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "protocol/base/check.h"
#include "protocol/frame.h"
#include "protocol/lock.pb.h"
#include "protocol/opcode.h"

namespace lockd::sim {
namespace {

constexpr Time kPauseMax = 200 * kMillis;
constexpr Time kPatience = 2 * kSeconds;
constexpr size_t kReadsMax = 16;

FrameHeader HeaderOf(Opcode opcode, uint32_t request_id) {
  return {.opcode = opcode, .flags = 0, .group = {}, .request_id = request_id};
}

}  // namespace

SimReader::SimReader(Scheduler* scheduler, SimNetwork* network, Options options)
    : scheduler_(scheduler),
      network_(network),
      options_(std::move(options)),
      random_(options_.seed) {
  network_->AddHost(options_.host, this);
  network_->SetUp(options_.host, true);
}

void SimReader::Start() {
  is_on_ = true;
  ReadSoon();
}

void SimReader::ReadSoon() {
  scheduler_->After(static_cast<Time>(random_.Between(1, kPauseMax)), [this] {
    if (!is_on_) return;
    if (reads_.size() < kReadsMax) Ask();
    ReadSoon();
  });
}

void SimReader::Ask() {
  const LinkId link =
      network_->Dial(options_.host, HostId(random_.Between(1, options_.nodes)), false);
  Read& read = reads_[link];
  read.lock = absl::StrCat("lock-", random_.Below(options_.locks));
  read.is_stale = random_.Chance(1, 3);
  scheduler_->After(kPatience, [this, link] {
    if (reads_.erase(link) > 0) network_->Close(link, options_.host);
  });
}

void SimReader::OnDialed(LinkId link) {
  const auto found = reads_.find(link);
  if (found == reads_.end()) return;
  pb::ClientHello hello;
  hello.set_magic(kClientMagic);
  hello.set_version_min(kProtocolVersionMin);
  hello.set_version_max(kProtocolVersionMax);
  hello.set_client_name("reader");
  pb::GetLockRequest request;
  request.set_name(found->second.lock);
  request.set_stale(found->second.is_stale);
  std::string bytes;
  AppendFrame(bytes, HeaderOf(Opcode::kHello, 1), hello);
  AppendFrame(bytes, HeaderOf(Opcode::kGetLock, 2), request);
  found->second.asked_at = scheduler_->now();
  found->second.era = options_.era();
  network_->Send(link, options_.host, std::move(bytes));
}

void SimReader::OnBytes(LinkId link, std::string bytes) {
  const auto found = reads_.find(link);
  if (found == reads_.end()) return;
  found->second.decoder.Feed(bytes);
  FrameView frame;
  FrameDecoder::Result result = FrameDecoder::Result::kNeedMore;
  while ((result = found->second.decoder.Next(&frame)) == FrameDecoder::Result::kFrame) {
    if (OnFrame(found->second, frame)) continue;
    result = FrameDecoder::Result::kError;
    break;
  }
  if (result != FrameDecoder::Result::kError) return;
  reads_.erase(found);
  network_->Close(link, options_.host);
}

bool SimReader::OnFrame(Read& read, const FrameView& frame) {
  if (frame.header.opcode == Opcode::kHello) return true;
  if (frame.header.opcode != Opcode::kGetLock || (frame.header.flags & kFlagError) != 0) {
    return false;
  }
  pb::GetLockReply reply;
  LOCKD_CHECK(reply.ParseFromArray(frame.payload.data(), static_cast<int>(frame.payload.size())),
              "a node answers what nobody understands");
  const FencingToken owner(reply.lock().token());
  if (read.is_stale) {
    LOCKD_CHECK(reply.age_ms() >= -1, "StaleReadsTrue: an answer of the future");
    options_.on_stale_answer(read.lock, read.era, reply.stamp().applied_index(), owner);
  } else {
    options_.on_answer(read.lock, read.asked_at, read.era, owner);
  }
  return false;
}

void SimReader::OnDialFailed(LinkId link, bool) {
  reads_.erase(link);
}

void SimReader::OnAccepted(LinkId, bool) {
  LOCKD_UNREACHABLE("nobody dials a reader");
}

void SimReader::OnLinkClosed(LinkId link) {
  reads_.erase(link);
}

}  // namespace lockd::sim
