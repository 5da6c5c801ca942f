-- The conversation: Markdown, with keys.
local buf = vim.api.nvim_get_current_buf()
local config = require("polytree.config")

-- Plugins find the parser by it; what is highlighted is the matter of `polytree.conversation.highlight`.
vim.treesitter.language.register("markdown", "polytree")
-- Beside Markdown's own highlighting: details of tool calls and thoughts.
vim.bo[buf].syntax = "polytree"
vim.bo[buf].commentstring = ""
require("polytree.question").map_keys(buf)
for _, name in ipairs({ "abort", "prompt", "older" }) do
  local key = config.values.keys[name]
  if key then
    vim.keymap.set(
      "n",
      key,
      ("<Plug>(polytree-%s)"):format(name),
      { buffer = buf, desc = "polytree: " .. name, remap = true }
    )
  end
end
local close = config.values.keys.close
if close then
  vim.keymap.set("n", close, "<Cmd>close<CR>", { buffer = buf, desc = "polytree: close" })
end
