-- The prompt is Markdown. Neovim sources `polytree_*` for the filetype `polytree` too.
if vim.bo.filetype == "polytree_prompt" then
  vim.treesitter.language.register("markdown", "polytree_prompt")
  pcall(vim.treesitter.start, vim.api.nvim_get_current_buf(), "markdown")
end
