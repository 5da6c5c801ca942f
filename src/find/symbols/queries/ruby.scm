(module name: (scope_resolution scope: (_) @container name: (_) @name)) @definition.module
(module name: (constant) @name) @definition.module
(class name: (scope_resolution scope: (_) @container name: (_) @name)) @definition.class
(class name: (constant) @name) @definition.class
(method name: (_) @name) @definition.method
(singleton_method name: (_) @name) @definition.method
(alias name: (_) @name) @definition.method
(assignment left: (constant) @name) @definition.constant
(call
  method: (identifier) @called
  arguments: (argument_list (simple_symbol) @name @definition.property)
  (#any-of? @called "attr_accessor" "attr_reader" "attr_writer"))
