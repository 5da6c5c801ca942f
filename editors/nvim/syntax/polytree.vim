" Details of tool calls and thoughts; the rest is highlighted as Markdown.
if exists("b:current_syntax")
  finish
endif
syntax match polytreeDetail "^  │ .*$"
syntax match polytreeAdded "^  │ +.*$"
syntax match polytreeRemoved "^  │ -.*$"
syntax match polytreeHunk "^  │ @@.*$"
syntax match polytreeThought "^  ┊ .*$"
syntax match polytreeSummary "^  ┆ .*$"
syntax match polytreeFailed "^✗ .*$" contains=NONE
highlight default link polytreeDetail Comment
highlight default link polytreeThought Comment
highlight default link polytreeSummary Comment
highlight default link polytreeAdded Added
highlight default link polytreeRemoved Removed
highlight default link polytreeHunk Function
highlight default link polytreeFailed DiagnosticError
let b:current_syntax = "polytree"
