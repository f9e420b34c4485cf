-- Rotates over the tokens of the file that is its argument, with the headers of a browser. Prints
-- what wrk has counted as one line of JSON.

local requests, turn = {}, 0

function init(args)
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
   for token in io.lines(args[1]) do
      headers["Authorization"] = "Bearer " .. token
      requests[#requests + 1] = wrk.format("GET", "/api/reports/2026/11?page=2", headers)
   end
end

function request()
   turn = turn % #requests + 1
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
