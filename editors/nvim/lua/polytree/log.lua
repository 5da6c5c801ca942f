--- The plugin's log file, `stdpath("log")/polytree.log`, read with `:Polytree log`.
local M = {}

local LEVELS = { debug = 1, info = 2, warn = 3, error = 4 }
--- A file above this size is begun anew, in bytes.
local MAX_BYTES = 1024 * 1024

---@return string
function M.path()
  return vim.fs.normalize(vim.fn.stdpath("log") .. "/polytree.log")
end

---@param level string
---@param format string
local function write(level, format, ...)
  if LEVELS[level] < LEVELS[require("polytree.config").values.log_level] then
    return
  end
  local text = select("#", ...) > 0 and format:format(...) or format
  local path = M.path()
  local uv = vim.uv or vim.loop
  local stat = uv.fs_stat(path)
  if not stat then
    vim.fn.mkdir(vim.fs.dirname(path), "p")
  end
  local file = io.open(path, stat and stat.size > MAX_BYTES and "w" or "a")
  if file then
    file:write(("%s %-5s %s\n"):format(os.date("%Y-%m-%dT%H:%M:%S"), level, text))
    file:close()
  end
end

for level in pairs(LEVELS) do
  M[level] = function(format, ...)
    if vim.in_fast_event() then
      local arguments = { n = select("#", ...), ... }
      vim.schedule(function()
        write(level, format, unpack(arguments, 1, arguments.n))
      end)
    else
      write(level, format, ...)
    end
  end
end

--- Tells the user, and the log.
---@param message string
---@param level? integer a value of `vim.log.levels`
function M.notify(message, level)
  write(level == vim.log.levels.ERROR and "error" or "info", "%s", message)
  vim.notify("polytree: " .. message, level or vim.log.levels.INFO)
end

return M
