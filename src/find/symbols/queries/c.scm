; Names stand inside of declarators, at any depth; the program looks for them there. Shared with C++.
(function_definition declarator: (_) @declarator) @definition.function
(declaration declarator: (_) @declarator) @definition.variable
(field_declaration declarator: (_) @declarator) @definition.field
(type_definition type: (struct_specifier body: (_)) declarator: (_) @declarator) @definition.struct
(type_definition type: (union_specifier body: (_)) declarator: (_) @declarator) @definition.struct
(type_definition type: (enum_specifier body: (_)) declarator: (_) @declarator) @definition.enum
(type_definition declarator: (_) @declarator) @definition.type
(struct_specifier name: (_) @declarator body: (_)) @definition.struct
(union_specifier name: (_) @declarator body: (_)) @definition.struct
(enum_specifier name: (_) @declarator body: (_)) @definition.enum
(enumerator name: (identifier) @name) @definition.enum_member
(preproc_def name: (identifier) @name value: (_)) @definition.constant
(preproc_function_def name: (identifier) @name) @definition.macro
