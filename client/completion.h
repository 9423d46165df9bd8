// How a completion token of any kind becomes a function to call with the result.
//
// Internal to the templates of the public headers.
//
// Threading: any.
#ifndef LOCKD_CLIENT_COMPLETION_H_
#define LOCKD_CLIENT_COMPLETION_H_

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <utility>

#include "absl/functional/any_invocable.h"

namespace lockd::internal {

template <typename Result>
using Completion = absl::AnyInvocable<void(Result)>;

// The completion runs the handler on its own executor (inline where that is allowed) and keeps that
// executor busy until then.
template <typename Result, typename Handler>
Completion<Result> MakeCompletion(Handler handler, boost::asio::io_context& context) {
  namespace asio = boost::asio;
  auto executor = asio::prefer(asio::get_associated_executor(handler, context.get_executor()),
                               asio::execution::outstanding_work.tracked);
  return [handler = std::move(handler), executor = std::move(executor)](Result result) mutable {
    asio::dispatch(executor, [handler = std::move(handler), result = std::move(result)]() mutable {
      asio::get_associated_cancellation_slot(handler).clear();
      std::move(handler)(std::move(result));
    });
  };
}

// Completes with `result` and never inside the initiating call.
template <typename Result, typename Handler>
void PostResult(Handler handler, Result result) {
  auto executor = boost::asio::get_associated_executor(handler);
  boost::asio::post(executor, [handler = std::move(handler), result = std::move(result)]() mutable {
    std::move(handler)(std::move(result));
  });
}

}  // namespace lockd::internal

#endif  // LOCKD_CLIENT_COMPLETION_H_
