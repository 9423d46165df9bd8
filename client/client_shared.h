// What a Client and its calls share.
//
// Threading: loop only, but for the constant part.
#ifndef LOCKD_CLIENT_CLIENT_SHARED_H_
#define LOCKD_CLIENT_CLIENT_SHARED_H_

#include <boost/asio/io_context.hpp>
#include <memory>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "client/client.h"
#include "client/session_core.h"
#include "protocol/base/random.h"

namespace lockd::internal {

struct ClientShared {
  ClientShared(boost::asio::io_context& the_context, ClientOptions the_options,
               absl::Status checked, std::weak_ptr<void> the_anchor, uint64_t seed)
      : context(the_context),
        options(std::move(the_options)),
        options_status(std::move(checked)),
        anchor(std::move(the_anchor)),
        random(seed) {}

  // Ends all sessions that were opened here; `done` (on the loop) when all are closed or have given
  // up.
  void CloseAll(absl::AnyInvocable<void()> done);

  // -- constant --
  boost::asio::io_context& context;
  const ClientOptions options;
  const absl::Status options_status;  // every call fails with it
  const std::weak_ptr<void> anchor;   // what the io_context lives in, if it is ours

  // -- loop --
  Random random;
  std::vector<std::weak_ptr<SessionCore>> sessions;
  // The newest state that a read of the leader has shown.
  uint64_t seen_term = 0;
  uint64_t seen_applied_index = 0;
};

// Checks the options; draws the seed.
std::shared_ptr<ClientShared> MakeClientShared(boost::asio::io_context& context,
                                               ClientOptions options, std::weak_ptr<void> anchor);

}  // namespace lockd::internal

#endif  // LOCKD_CLIENT_CLIENT_SHARED_H_
