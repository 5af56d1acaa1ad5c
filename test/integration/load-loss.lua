-- Every request has an id and says which status it wants, so that a wrong pairing shows.
local statuses = { 200, 404, 500, 403, 410, 503, 401 }
local padding = string.rep("x", 1500)
local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("number", threads)
end

function init()
  count = 0
end

function request()
  count = count + 1
  local id = number .. "-" .. count
  local status = statuses[count % #statuses + 1]
  return "GET /status/" .. status .. "?id=" .. id .. " HTTP/1.1\r\nHost: shop.example\r\nX-Id: " .. id ..
    "\r\nCookie: " .. padding .. "\r\n\r\n"
end
