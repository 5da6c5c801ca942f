//! The symbols of a text in each language: second half.

use expect_test::{Expect, expect};

use super::listing;

#[expect(clippy::needless_pass_by_value, reason = "the macro makes a value")]
fn check(name: &str, text: &str, expected: Expect) {
    expected.assert_eq(&listing(name, text));
}

#[test]
fn c() {
    check(
        "a.c",
        "#ifndef GUARD_H
#define GUARD_H
#define SIZE 10
#define MAX(a, b) ((a) > (b) ? (a) : (b))
struct point { int x, *y; int (*callback)(void); char name[8]; };
typedef struct point point_t;
typedef struct node { struct node *next; } node;
typedef struct { int field; } anonymous;
typedef int (*compare)(const void *, const void *);
enum color { RED, GREEN = 2 };
union value { int i; };
static const int limit = 3, other;
extern struct point *origin;
int prototype(int a);
static char **function(void) { int local; struct point p; return 0; }
int main(int argc, char **argv)
{
    return 0;
}
#endif
",
        expect![[r#"
            3-4 Constant SIZE
            4-5 Function MAX
            5-5 Struct point
            5-5 Field x in point
            5-5 Field y in point
            5-5 Field callback in point
            5-5 Field name in point
            6-6 TypeAlias point_t
            7-7 Struct node
            7-7 Field next in node
            8-8 Struct anonymous
            8-8 Field field in anonymous
            9-9 TypeAlias compare
            10-10 Enum color
            10-10 EnumMember RED in color
            10-10 EnumMember GREEN in color
            11-11 Struct value
            11-11 Field i in value
            12-12 Variable limit
            12-12 Variable other
            13-13 Variable origin
            14-14 Function prototype
            15-15 Function function
            16-19 Function main
        "#]],
    );
}

#[test]
fn cpp() {
    check(
        "a.cpp",
        "namespace outer { namespace inner::deep { int depth; } }
namespace short_name = outer::inner;
template <typename T> class Stack : public Base {
public:
    Stack();
    explicit Stack(int size) : size_(size) {}
    virtual ~Stack() = default;
    void push(const T& value);
    T& top() { return data[0]; }
    bool operator==(const Stack& other) const;
    operator bool() const;
    enum class Mode { Fast, Slow };
    struct Node { T value; };
private:
    int size_ = 0;
    static const int limit = 3;
};
template <typename T> void Stack<T>::push(const T& value) { int local; auto f = [](int x) { struct Hidden { int h; }; }; }
outer::Thing::Thing() {}
outer::Thing::~Thing() {}
const std::string& outer::name(int x) { return x; }
using Alias = std::vector<int>;
template <class T> concept Small = sizeof(T) < 4;
static int counter;
extern \"C\" { int c_function(void); }
",
        expect![[r#"
            1-1 Namespace outer
            1-1 Namespace inner::deep in outer
            1-1 Variable depth in inner::deep
            2-2 Namespace short_name
            3-17 Class Stack
            5-5 Constructor Stack in Stack
            6-6 Constructor Stack in Stack
            7-7 Method ~Stack in Stack
            8-8 Method push in Stack
            9-9 Method top in Stack
            10-10 Method operator== in Stack
            11-11 Method operator bool in Stack
            12-12 Enum Mode in Stack
            12-12 EnumMember Fast in Mode
            12-12 EnumMember Slow in Mode
            13-13 Struct Node in Stack
            13-13 Field value in Node
            15-15 Field size_ in Stack
            16-16 Field limit in Stack
            18-18 Method push in Stack
            18-18 Struct Hidden in push
            18-18 Field h in Hidden
            19-19 Constructor Thing in outer::Thing
            20-20 Method ~Thing in outer::Thing
            21-21 Method name in outer
            22-22 TypeAlias Alias
            23-23 Interface Small
            24-24 Variable counter
            25-25 Function c_function
        "#]],
    );
}

#[test]
fn headers_are_of_either_language() {
    check(
        "a.h",
        "struct a { int b; };\nint f(void);\n",
        expect![[r#"
        1-1 Struct a
        1-1 Field b in a
        2-2 Function f
    "#]],
    );
    check(
        "b.h",
        "class A {\npublic:\n  void f();\n};\n",
        expect![[r#"
        1-4 Class A
        3-3 Method f in A
    "#]],
    );
}

#[test]
fn java() {
    check(
        "A.java",
        "package com.example.app;
import java.util.List;
public class Service<T> extends Base implements Runnable {
    public static final int LIMIT = 3;
    private String name, other;
    public Service(String name) { int local = 1; }
    @Override public void run() { Runnable r = new Runnable() { public void run() {} }; }
    enum State { ON, OFF { void act() {} } }
    interface Listener { int ORDER = 1; void changed(); }
    record Point(int x, int y) { Point { } }
    @interface Marker { String value() default \"\"; }
}
",
        expect![[r#"
            3-12 Class Service in com.example.app
            4-4 Constant LIMIT in Service
            5-5 Field name in Service
            5-5 Field other in Service
            6-6 Constructor Service in Service
            7-7 Method run in Service
            7-7 Method run in run
            8-8 Enum State in Service
            8-8 EnumMember ON in State
            8-8 EnumMember OFF in State
            8-8 Method act in OFF
            9-9 Interface Listener in Service
            9-9 Constant ORDER in Listener
            9-9 Method changed in Listener
            10-10 Class Point in Service
            10-10 Field x in Point
            10-10 Field y in Point
            10-10 Constructor Point in Point
            11-11 Interface Marker in Service
            11-11 Method value in Marker
        "#]],
    );
}

#[test]
fn c_sharp() {
    check(
        "A.cs",
        "namespace Company.App
{
    public class Service : IDisposable
    {
        private const int Limit = 3;
        private readonly string name, other;
        public event EventHandler Changed;
        public string Name { get; set; }
        public Service(string name) { var local = 1; void Nested() {} }
        public async Task<int> RunAsync() => 1;
        public delegate void Handler(int x);
    }
    public struct Point { public int X; }
    public interface IShape { double Area(); }
    public enum Color { Red, Green = 2 }
    public record Person(string First, string Last);
}
",
        expect![[r#"
            1-17 Namespace Company.App
            3-12 Class Service in Company.App
            5-5 Constant Limit in Service
            6-6 Field name in Service
            6-6 Field other in Service
            7-7 Event Changed in Service
            8-8 Property Name in Service
            9-9 Constructor Service in Service
            9-9 Function Nested in Service
            10-10 Method RunAsync in Service
            11-11 TypeAlias Handler in Service
            13-13 Struct Point in Company.App
            13-13 Field X in Point
            14-14 Interface IShape in Company.App
            14-14 Method Area in IShape
            15-15 Enum Color in Company.App
            15-15 EnumMember Red in Color
            15-15 EnumMember Green in Color
            16-16 Class Person in Company.App
            16-16 Property First in Person
            16-16 Property Last in Person
        "#]],
    );
    check(
        "B.cs",
        "namespace Company.App;\npublic class Service { }\n",
        expect![[r#"
        2-2 Class Service in Company.App
    "#]],
    );
}

#[test]
fn ruby() {
    check(
        "a.rb",
        "VERSION = '1'
module Shop
  class Cart < Base
    LIMIT = 3
    attr_accessor :items, :owner
    def initialize; local = 1; end
    def empty? = items.empty?
    def total=(value); end
    def self.build; end
    class << self
      def create; end
    end
    alias size count
  end
end
class Shop::Item; def price; end; end
def helper; end
",
        expect![[r#"
            1-1 Constant VERSION
            2-15 Module Shop
            3-14 Class Cart in Shop
            4-4 Constant LIMIT in Cart
            5-5 Property items in Cart
            5-5 Property owner in Cart
            6-6 Method initialize in Cart
            7-7 Method empty? in Cart
            8-8 Method total= in Cart
            9-9 Method build in Cart
            11-11 Method create in Cart
            13-13 Method size in Cart
            16-16 Class Item in Shop
            16-16 Method price in Item
            17-17 Function helper
        "#]],
    );
}

#[test]
fn php() {
    check(
        "a.php",
        "<?php
namespace App\\Models;
const LIMIT = 3;
interface Shape { const SIDES = 4; public function area(): float; }
trait Counts { private int $count = 0; }
final class User extends Model {
    public const TABLE = 'users';
    protected static ?string $name = null;
    public function __construct(private string $email) { $local = 1; }
    public function save(): void {}
}
enum Suit: string { case Hearts = 'H'; }
function helper() {}
?>
<p>text</p>
",
        expect![[r#"
            3-3 Constant LIMIT in App\Models
            4-4 Interface Shape in App\Models
            4-4 Constant SIDES in Shape
            4-4 Method area in Shape
            5-5 Interface Counts in App\Models
            5-5 Property count in Counts
            6-11 Class User in App\Models
            7-7 Constant TABLE in User
            8-8 Property name in User
            9-9 Constructor __construct in User
            9-9 Property email in User
            10-10 Method save in User
            12-12 Enum Suit in App\Models
            12-12 EnumMember Hearts in Suit
            13-13 Function helper in App\Models
        "#]],
    );
}

#[test]
fn lua() {
    check(
        "a.lua",
        "local M = {}
local helper = function() local hidden = 1 end
VERSION = '1'
function global() local function nested() end end
local function private() end
function M.create(name) return { run = function() end } end
function M:method() end
M.assigned = function() end
local handlers = { open = function() end, size = 3 }
return M
",
        expect![[r#"
            1-1 Variable M
            2-2 Function helper
            3-3 Variable VERSION
            4-4 Function global
            4-4 Function nested in global
            5-5 Function private
            6-6 Function create in M
            7-7 Method method in M
            8-8 Function assigned in M
            9-9 Variable handlers
            9-9 Method open in handlers
        "#]],
    );
}
