// The small parts below the tables: slab, indexes, deadline queue, reply window.

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "protocol/base/bytes.h"
#include "protocol/base/random.h"
#include "server/state/deadline_queue.h"
#include "server/state/index_map.h"
#include "server/state/keyed_hash.h"
#include "server/state/reply_window.h"
#include "server/state/slab.h"

namespace lockd::state {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// ---- Slab

TEST(Slab, KeepsRecordsInPlaceWhileItGrows) {
  Slab<std::string> slab;
  const uint32_t first = slab.Allocate();
  slab[first] = "first";
  const std::string* place = &slab[first];
  for (int i = 0; i < 10'000; ++i) slab.Allocate();
  EXPECT_EQ(&slab[first], place);
  EXPECT_EQ(slab[first], "first");
  EXPECT_EQ(slab.live_count(), 10'001u);
}

TEST(Slab, UsesFreedIdsAgainWithFreshRecords) {
  Slab<std::string> slab;
  const uint32_t a = slab.Allocate();
  const uint32_t b = slab.Allocate();
  slab[a] = "a name too long to be stored within the string itself";
  slab.Free(a);
  EXPECT_FALSE(slab.IsLive(a));
  EXPECT_TRUE(slab.IsLive(b));
  EXPECT_EQ(slab.Allocate(), a);
  EXPECT_EQ(slab[a], "");
  EXPECT_EQ(slab.end_id(), 2u);
}

// ---- Indexes

TEST(IndexMap, FindsWhatWasInsertedUntilItIsErased) {
  IndexMap<uint64_t, uint32_t> index;
  for (uint64_t key = 0; key < 5'000; ++key) index.Insert(key * key, static_cast<uint32_t>(key));
  EXPECT_EQ(index.size(), 5'000u);
  for (uint64_t key = 0; key < 5'000; key += 2) index.Erase(key * key);
  EXPECT_EQ(index.size(), 2'500u);
  for (uint64_t key = 0; key < 5'000; ++key) {
    const uint32_t* found = index.Find(key * key);
    ASSERT_EQ(found != nullptr, key % 2 == 1);
    if (found != nullptr) {
      EXPECT_EQ(*found, key);
    }
  }
  index.Insert(1, 77);
  EXPECT_EQ(*index.Find(1), 77u);
  EXPECT_EQ(index.size(), 2'500u);
}

TEST(IndexMap, GivesItsKeysOnlySorted) {
  IndexMap<uint64_t, uint32_t> index;
  for (const uint64_t key : {9u, 3u, 7u, 1u}) index.Insert(key, 0);
  EXPECT_THAT(index.SortedKeys(), ElementsAre(1, 3, 7, 9));
}

struct Names {
  absl::string_view NameOf(uint32_t id) const { return names[id]; }
  std::vector<std::string> names;
};

TEST(NameIndex, FindsIdsByNamesThatItDoesNotStore) {
  Names names;
  for (int i = 0; i < 50'000; ++i) names.names.push_back(absl::StrCat("name-", i));
  NameIndex<Names> index(&names, HashKey{1, 2});
  for (uint32_t id = 0; id < 50'000; ++id) index.Insert(names.names[id], id);
  for (uint32_t id = 0; id < 50'000; id += 3) index.Erase(names.names[id]);
  for (uint32_t id = 0; id < 50'000; ++id) {
    ASSERT_EQ(index.Find(names.names[id], kNoRecord), id % 3 == 0 ? kNoRecord : id);
  }
  EXPECT_EQ(index.Find("name", kNoRecord), kNoRecord);
  EXPECT_EQ(index.size(), 33'333u);
}

// N-20: names that collide under absl::Hash whatever its seed is: the first eight bytes are one of
// its constants and multiply all that follows by zero.
std::string CollidingName(uint64_t number) {
  std::string name;
  AppendLittle<uint64_t>(name, 0x13198A2E03707344u);
  AppendLittle(name, number);
  return name + "the same";
}

// Counts how often the index has to look at a record.
struct CountingNames {
  absl::string_view NameOf(uint32_t id) const {
    ++looks;
    return names[id];
  }
  std::vector<std::string> names;
  mutable size_t looks = 0;
};

// N-20
TEST(NameIndex, LooksAtFewRecordsThoughNamesAreChosenToCollide) {
  constexpr uint32_t kNames = 100'000;
  CountingNames names;
  for (uint32_t id = 0; id < kNames; ++id) names.names.push_back(CollidingName(id));
  NameIndex<CountingNames> index(&names, HashKey::FromSeed(1));
  for (uint32_t id = 0; id < kNames; ++id) {
    index.Insert(names.names[id], id);
    ASSERT_LT(names.looks, 1'000u) << "after " << id << " names";
  }
  names.looks = 0;
  for (uint32_t id = 0; id < kNames; ++id) ASSERT_EQ(index.Find(names.names[id], kNoRecord), id);
  EXPECT_LT(names.looks, kNames + kNames / 100);
}

// N-20
TEST(KeyedHash, IsSipHash13) {
  // The numbers of another implementation, under the key of zeros.
  EXPECT_EQ(KeyedHash(HashKey{}, "a"), 0x407448d2b89b1813u);
  EXPECT_EQ(KeyedHash(HashKey{}, "resource1"), 0x83b88a684a813bdcu);
  EXPECT_EQ(KeyedHash(HashKey{}, "lock-name-of-24-bytes----"), 0xa2120f29461913abu);
}

// N-20
TEST(KeyedHash, DiffersUnderEveryKey) {
  std::set<uint64_t> hashes;
  for (uint64_t seed = 0; seed < 1'000; ++seed) {
    hashes.insert(KeyedHash(HashKey::FromSeed(seed), "resource1"));
  }
  EXPECT_EQ(hashes.size(), 1'000u);
}

// ---- DeadlineQueue

TEST(DeadlineQueue, GivesTheEarliestAndAmongEqualsTheSmallestId) {
  DeadlineQueue queue;
  queue.Arm({ClusterTime(20), 1, DeadlineKind::kWait, 11});
  const auto second = queue.Arm({ClusterTime(10), 3, DeadlineKind::kHold, 12});
  const auto first = queue.Arm({ClusterTime(10), 2, DeadlineKind::kSession, 13});
  EXPECT_EQ(queue.earliest().id, 2u);
  EXPECT_EQ(queue.earliest().kind, DeadlineKind::kSession);
  EXPECT_EQ(queue.earliest().record, 13u);
  queue.Move(first, ClusterTime(30));
  EXPECT_EQ(queue.earliest().id, 3u);
  queue.Disarm(second);
  EXPECT_EQ(queue.earliest().id, 1u);
  queue.Disarm(kNoRecord);
  EXPECT_EQ(queue.size(), 2u);
}

TEST(DeadlineQueue, AgreesWithASortedSetOverRandomSteps) {
  Random random(7);
  DeadlineQueue queue;
  std::set<std::pair<int64_t, uint64_t>> expected;
  struct Armed {
    DeadlineQueue::Handle handle;
    int64_t time;
    uint64_t id;
  };
  std::vector<Armed> armed;
  uint64_t next_id = 0;
  for (int step = 0; step < 20'000; ++step) {
    const uint64_t choice = random.Below(10);
    const auto time = static_cast<int64_t>(random.Below(500));
    if (choice < 4 || armed.empty()) {
      ++next_id;
      armed.push_back(
          {queue.Arm({ClusterTime(time), next_id, DeadlineKind::kWait, 0}), time, next_id});
      expected.emplace(time, next_id);
    } else {
      const size_t at = random.Below(armed.size());
      expected.erase({armed[at].time, armed[at].id});
      if (choice < 7) {
        queue.Move(armed[at].handle, ClusterTime(time));
        armed[at].time = time;
        expected.emplace(time, armed[at].id);
      } else {
        queue.Disarm(armed[at].handle);
        armed[at] = armed.back();
        armed.pop_back();
      }
    }
    ASSERT_EQ(queue.size(), expected.size());
    if (step % 100 == 0) {
      ASSERT_TRUE(queue.IsOrdered());
    }
    if (expected.empty()) continue;
    ASSERT_EQ(queue.earliest().time.value(), expected.begin()->first);
    ASSERT_EQ(queue.earliest().id, expected.begin()->second);
  }
}

// ---- ReplyWindow

TEST(ReplyWindow, AgreesWithAMapOverRandomSteps) {
  Random random(11);
  ReplyWindow window;
  std::map<uint64_t, uint64_t> expected;  // sequence -> what its reply says
  uint64_t through = 0;
  for (int step = 0; step < 20'000; ++step) {
    const uint64_t sequence = through + random.Between(1, kSequenceWindow);
    if (random.Chance(4, 5)) {
      const ReplyValue* found = window.Find(Sequence(sequence));
      ASSERT_EQ(found != nullptr, expected.contains(sequence));
      if (found == nullptr) {
        window.Insert(Sequence(sequence), ReconcileResult{sequence * 3, 0});
        expected[sequence] = sequence * 3;
      } else {
        ASSERT_EQ(std::get<ReconcileResult>(*found).cancelled, expected[sequence]);
      }
    } else {
      through += random.Below(random.Chance(1, 10) ? kSequenceWindow : 20);
      std::vector<uint64_t> dropped;
      window.DropThrough(Sequence(through),
                         [&](const Reply& reply) { dropped.push_back(reply.sequence.value()); });
      std::vector<uint64_t> expected_dropped;
      while (!expected.empty() && expected.begin()->first <= through) {
        expected_dropped.push_back(expected.begin()->first);
        expected.erase(expected.begin());
      }
      ASSERT_EQ(dropped, expected_dropped);
    }
    ASSERT_EQ(window.size(), expected.size());
    ASSERT_TRUE(std::equal(window.begin(), window.end(), expected.begin(), expected.end(),
                           [](const Reply& reply, const auto& entry) {
                             return reply.sequence.value() == entry.first;
                           }));
  }
}

TEST(ReplyWindow, IsEmptyOnceAllIsAcknowledged) {
  ReplyWindow window;
  for (uint64_t s = 1; s <= kSequenceWindow; ++s) window.Insert(Sequence(s), ReleaseResult{});
  window.DropThrough(Sequence(kSequenceWindow), [](const Reply&) {});
  EXPECT_TRUE(window.empty());
  EXPECT_EQ(window.Find(Sequence(1)), nullptr);
  EXPECT_EQ(window.begin(), window.end());
}

}  // namespace
}  // namespace lockd::state
