-- Requests with the tokens of a file and the headers of a browser. Arguments: the file, method, target,
-- bytes of a body, and "rotate" over the tokens or "once": then it says so after the last one and sends
-- nothing more. Prints what wrk has counted as one line of JSON.

local requests, turn, once = {}, 0, false

function init(args)
   local file, method, target, body_bytes = args[1], args[2], args[3], tonumber(args[4])
   once = args[5] == "once"
   local headers = {
      ["Host"] = "api.example.com",
      ["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
      ["Accept"] = "application/json",
      ["Accept-Language"] = "en-US,en;q=0.5",
      ["Accept-Encoding"] = "gzip, deflate, br, zstd",
      ["Referer"] = "https://app.example.com/reports",
      ["Origin"] = "https://app.example.com",
      ["Sec-Fetch-Dest"] = "empty",
      ["Sec-Fetch-Mode"] = "cors",
      ["Sec-Fetch-Site"] = "same-site",
   }
   local body = body_bytes > 0 and string.rep("x", body_bytes) or nil
   for token in io.lines(file) do
      headers["Authorization"] = "Bearer " .. token
      requests[#requests + 1] = wrk.format(method, target, headers, body)
   end
end

function request()
   if once and turn == #requests then
      wrk.thread:stop()
      io.write("all sent\n")
      io.flush()
   else
      turn = turn % #requests + 1
   end
   return requests[turn]
end

function done(summary, latency)
   local errors = summary.errors
   io.write(string.format(
      '{"requests": %d, "micros": %d, "p50": %d, "p99": %d, "max": %d, ' ..
      '"refused": %d, "connect": %d, "read": %d, "write": %d, "timeout": %d}\n',
      summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max,
      errors.status, errors.connect, errors.read, errors.write, errors.timeout))
end
