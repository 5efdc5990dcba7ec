-- Sends the requests of several readers in turns, one for each cookie after "--", and tells the figures as JSON.

local requests, sent = {}, 0

function init(cookies)
  for number, cookie in ipairs(cookies) do
    wrk.headers["Cookie"] = cookie
    requests[number] = wrk.format()
  end
end

function request()
  sent = sent % #requests + 1
  return requests[sent]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "seconds": %f, "refused": %d, "broken": %d, "p50": %f, "p90": %f, "p99": %f}\n',
    summary.requests, summary.duration / 1e6, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(90) / 1e3, latency:percentile(99) / 1e3))
end
