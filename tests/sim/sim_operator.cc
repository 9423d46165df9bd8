#include "tests/sim/sim_operator.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "protocol/base/check.h"
#include "protocol/frame.h"
#include "server/state/digest_text.h"

namespace lockd::sim {
namespace {

constexpr char kFile[] = "/backup";
constexpr int kTriesMax = 12;
// A snapshot is written at its pace first.
constexpr Time kPatience = 10 * kSeconds;
constexpr Time kPauseMax = 2 * kSeconds;

storage::SnapshotHead HeadOf(const pb::TakeSnapshotReply& taken, uint64_t file_number) {
  const pb::SnapshotDescription& snapshot = taken.snapshot();
  return {.file_number = file_number,
          .identity = {.node_id = NodeId(taken.node_id()),
                       .cluster_name = taken.cluster_name(),
                       .incarnation = Incarnation(0),
                       .cluster_id = ClusterId(taken.cluster_id())},
          .base = {.index = raft::Index(snapshot.index()),
                   .term = raft::Term(snapshot.term()),
                   .time = ClusterTime(snapshot.cluster_time_ms())}};
}

template <typename Reply>
Reply Parse(const FrameView& frame) {
  Reply reply;
  LOCKD_CHECK(reply.ParseFromArray(frame.payload.data(), static_cast<int>(frame.payload.size())),
              "a node answers what nobody understands");
  return reply;
}

}  // namespace

SimOperator::SimOperator(Scheduler* scheduler, SimNetwork* network, Options options)
    : scheduler_(scheduler),
      network_(network),
      options_(std::move(options)),
      random_(options_.seed) {
  network_->AddHost(options_.host, this);
  network_->SetUp(options_.host, true);
}

void SimOperator::Save() {
  if (std::exchange(is_saving_, true)) return;
  tries_left_ = kTriesMax;
  TryNode();
}

void SimOperator::TryNode() {
  if (tries_left_-- == 0) {
    is_saving_ = false;
    return;
  }
  ++attempts_;
  attempt_ = Attempt{};
  attempt_->node = HostId(random_.Between(1, options_.nodes));
  Dial();
}

void SimOperator::Dial() {
  attempt_->link = network_->Dial(options_.host, attempt_->node, false);
  attempt_->decoder = FrameDecoder(kClientFrameBytesMax);
  attempt_->last_request = 0;
  ExpectStep();
}

void SimOperator::ExpectStep() {
  scheduler_->After(kPatience, [this, attempt = attempts_, step = ++attempt_->step] {
    if (!attempt_ || attempts_ != attempt || attempt_->step != step) return;
    network_->Close(attempt_->link, options_.host);
    OnBroken();
  });
}

void SimOperator::OnBroken() {
  attempt_->link = LinkId(0);
  if (!attempt_->taken || attempt_->dials_left-- == 0) {
    GiveUpNode();
    return;
  }
  const auto pause = static_cast<Time>(random_.Between(1, 500)) * kMillis;
  scheduler_->After(pause, [this, attempt = attempts_] {
    if (attempt_ && attempts_ == attempt) Dial();
  });
}

void SimOperator::GiveUpNode() {
  network_->Close(attempt_->link, options_.host);
  attempt_.reset();
  scheduler_->After(static_cast<Time>(random_.Between(1, kPauseMax)), [this] { TryNode(); });
}

// ---- Asking

void SimOperator::AppendRequest(std::string* bytes, Opcode opcode,
                                const google::protobuf::MessageLite& request) {
  attempt_->last_request = NextRequestId(attempt_->last_request);
  AppendFrame(*bytes,
              {.opcode = opcode, .flags = 0, .group = {}, .request_id = attempt_->last_request},
              request);
}

void SimOperator::OnDialed(LinkId link) {
  if (!IsOf(link)) return;
  if (!attempt_->taken) {
    attempt_->era = options_.era();
    if (attempts_ % 2 == 0) attempt_->asked = options_.applied();
  }
  Ask();
}

void SimOperator::Ask() {
  std::string bytes;
  if (attempt_->last_request == 0) {
    pb::ClientHello hello;
    hello.set_magic(kClientMagic);
    hello.set_version_min(kProtocolVersionMin);
    hello.set_version_max(kProtocolVersionMax);
    hello.set_client_name("operator");
    AppendRequest(&bytes, Opcode::kHello, hello);
  }
  if (attempt_->taken) {
    pb::ReadSnapshotRequest read;
    read.set_index(attempt_->taken->snapshot().index());
    read.set_term(attempt_->taken->snapshot().term());
    read.set_checksum(attempt_->taken->snapshot().checksum());
    read.set_offset(attempt_->offset);
    AppendRequest(&bytes, Opcode::kReadSnapshot, read);
  } else {
    pb::TakeSnapshotRequest take;
    take.set_index(attempt_->asked.value());
    AppendRequest(&bytes, Opcode::kTakeSnapshot, take);
  }
  network_->Send(attempt_->link, options_.host, std::move(bytes));
  ExpectStep();
}

// ---- Answers

void SimOperator::OnBytes(LinkId link, std::string bytes) {
  if (!IsOf(link)) return;
  attempt_->decoder.Feed(bytes);
  FrameView frame;
  FrameDecoder::Result result = FrameDecoder::Result::kNeedMore;
  while ((result = attempt_->decoder.Next(&frame)) == FrameDecoder::Result::kFrame) {
    const bool is_good = OnFrame(frame);
    if (!IsOf(link)) return;  // that was the last one
    if (is_good) continue;
    GiveUpNode();
    return;
  }
  if (result != FrameDecoder::Result::kError) return;
  network_->Close(link, options_.host);
  OnBroken();
}

bool SimOperator::OnFrame(const FrameView& frame) {
  if (frame.header.opcode == Opcode::kHello) return true;
  if ((frame.header.flags & kFlagError) != 0) return false;
  if (frame.header.opcode == Opcode::kTakeSnapshot && !attempt_->taken) return OnTaken(frame);
  return frame.header.opcode == Opcode::kReadSnapshot && attempt_->taken && OnPiece(frame);
}

bool SimOperator::OnTaken(const FrameView& frame) {
  attempt_->taken = Parse<pb::TakeSnapshotReply>(frame);
  auto file = BackupFile::Create(&disk_, kFile, BackupFile::Existing::kReplaced,
                                 HeadOf(*attempt_->taken, random_.Next()));
  LOCKD_CHECK(file.ok(), "no backup file: ", file.status().message());
  attempt_->file = *std::move(file);
  Ask();
  return true;
}

bool SimOperator::OnPiece(const FrameView& frame) {
  const auto piece = Parse<pb::ReadSnapshotReply>(frame);
  if (piece.result() != pb::READ_SNAPSHOT_RESULT_READ) return false;
  if (piece.content().empty()) {
    Finish();
    return true;
  }
  const absl::Status added = attempt_->file->Add(piece.content());
  LOCKD_CHECK(added.ok(), "a backup cannot be written: ", added.message());
  attempt_->offset += piece.content().size();
  Ask();
  return true;
}

// What the node said of its snapshot is true of what it gave.
void SimOperator::Finish() {
  const pb::SnapshotDescription& said = attempt_->taken->snapshot();
  const absl::StatusOr<LoadedSnapshot> loaded = attempt_->file->Verify();
  LOCKD_CHECK(loaded.ok(), "BackupsAreWhole: ", loaded.status().message());
  const state::LockDatabase& database = *loaded->database;
  LOCKD_CHECK(loaded->id.bytes == said.bytes() && loaded->id.checksum == said.checksum() &&
                  state::ToText(database.digest()) == said.digest() &&
                  database.lock_count() == said.locks() &&
                  database.session_count() == said.sessions(),
              "BackupsAreWhole: node ", attempt_->node, " gives another snapshot than it said, of ",
              said.index());
  LOCKD_CHECK(loaded->id.base.index >= attempt_->asked, "BackupsAreNew: node ", attempt_->node,
              " gives a snapshot of entry ", loaded->id.base.index, ", asked for was ",
              attempt_->asked);
  const absl::Status kept = attempt_->file->Keep();
  LOCKD_CHECK(kept.ok(), "a backup cannot be kept: ", kept.message());
  Backup backup{.file = disk_.Contents(kFile),
                .base = loaded->id.base,
                .digest = database.digest(),
                .era = attempt_->era};
  if (options_.trace) {
    options_.trace(absl::StrCat("operator saves a backup of entry ", said.index(), " from node ",
                                attempt_->node));
  }
  network_->Close(attempt_->link, options_.host);
  attempt_.reset();
  is_saving_ = false;
  options_.on_saved(std::move(backup));
}

// ---- Connections

void SimOperator::OnDialFailed(LinkId link, bool) {
  if (IsOf(link)) OnBroken();
}

void SimOperator::OnAccepted(LinkId, bool) {
  LOCKD_UNREACHABLE("nobody dials an operator");
}

void SimOperator::OnLinkClosed(LinkId link) {
  if (IsOf(link)) OnBroken();
}

}  // namespace lockd::sim
