//! The symbols of a text in each language: first half.

use expect_test::{Expect, expect};

use super::listing;

#[expect(clippy::needless_pass_by_value, reason = "the macro makes a value")]
fn check(name: &str, text: &str, expected: Expect) {
    expected.assert_eq(&listing(name, text));
}

#[test]
fn rust() {
    check(
        "a.rs",
        "mod inner {
    pub const LIMIT: usize = 3;
    pub static NAME: &str = \"ä\";
    pub struct Point<T> { x: T, y: T }
    pub union Bits { a: u32 }
}
enum Shape { Circle(f64), Square { side: f64 } }
trait Area {
    type Unit;
    const ZERO: f64;
    fn area(&self) -> f64;
    fn twice(&self) -> f64 { 2.0 * self.area() }
}
impl<T: Copy> Area for &mut inner::Point<T> {
    fn area(&self) -> f64 { fn nested() {} const LOCAL: u8 = 1; 0.0 }
}
type Alias = Vec<u8>;
macro_rules! twice { () => {} }
async fn main() { let closure = |x: u8| x; }
extern \"C\" { fn puts(text: *const u8); }
const _: () = ();
",
        expect![[r#"
            1-6 Module inner
            2-2 Constant LIMIT in inner
            3-3 Constant NAME in inner
            4-4 Struct Point in inner
            4-4 Field x in Point
            4-4 Field y in Point
            5-5 Struct Bits in inner
            5-5 Field a in Bits
            7-7 Enum Shape
            7-7 EnumMember Circle in Shape
            7-7 EnumMember Square in Shape
            7-7 Field side in Square
            8-13 Interface Area
            9-9 TypeAlias Unit in Area
            10-10 Constant ZERO in Area
            11-11 Method area in Area
            12-12 Method twice in Area
            15-15 Method area in Point
            15-15 Function nested in area
            17-17 TypeAlias Alias
            18-18 Function twice
            19-19 Function main
            20-20 Function puts
        "#]],
    );
}

#[test]
fn typescript() {
    check(
        "a.ts",
        "export interface Shape { area(): number; name: string }
export type Id = string | { raw: number };
export enum Color { Red, Green = 'g', 'dark blue' }
declare module 'other' { export function helper(): void; }
namespace Deep.Name { export const inside = 1; }
export abstract class Base<T> {
    static count = 0;
    #secret = 1;
    constructor(private readonly store: Map<string, T>, plain: number) {}
    abstract run(): void;
    get size(): number { const local = 1; return local; }
    handler = () => { const local = 2; };
}
export function overload(a: string): void;
export function overload(a: any) { const local = 1; function nested() {} }
export const arrow = async (x: number) => { let local; };
export const VALUE = 3;
let variable: number, other = 2;
export default class {}
",
        expect![[r#"
            1-1 Interface Shape
            1-1 Method area in Shape
            1-1 Property name in Shape
            2-2 TypeAlias Id
            2-2 Property raw in Id
            3-3 Enum Color
            3-3 EnumMember Red in Color
            3-3 EnumMember Green in Color
            3-3 EnumMember dark blue in Color
            4-4 Module other
            4-4 Function helper in other
            5-5 Namespace Deep.Name
            5-5 Constant inside in Deep.Name
            6-13 Class Base
            7-7 Property count in Base
            8-8 Property #secret in Base
            9-9 Constructor constructor in Base
            9-9 Property store in Base
            10-10 Method run in Base
            11-11 Property size in Base
            12-12 Method handler in Base
            14-14 Function overload
            15-15 Function overload
            15-15 Function nested in overload
            16-16 Function arrow
            17-17 Constant VALUE
            18-18 Variable variable
            18-18 Variable other
        "#]],
    );
}

#[test]
fn tsx() {
    check(
        "a.tsx",
        "type Props = { title: string };
export const View: React.FC<Props> = ({ title }) => <div onClick={() => 1}>{title}</div>;
export function Page() { return <View title=\"x\" />; }
",
        expect![[r#"
            1-1 TypeAlias Props
            1-1 Property title in Props
            2-2 Function View
            3-3 Function Page
        "#]],
    );
}

#[test]
fn javascript() {
    check(
        "a.js",
        "const fs = require('fs');
var counter = 0;
class Animal extends Base { static kind = 'x'; speak() {} get name() { return 1; } constructor() { this.run = function () {}; } }
function plain() { var local = 1; const inner = () => 2; }
function* generate() {}
const api = { get() {}, set: function () {}, deep: { run: () => 1 }, value: 1 };
Animal.prototype.walk = function () {};
module.exports.exported = () => {};
exports.Kind = class { act() {} };
(function () { var hidden = 1; function visible() {} })();
const Named = class Inner {};
",
        expect![[r#"
            1-1 Constant fs
            2-2 Variable counter
            3-3 Class Animal
            3-3 Property kind in Animal
            3-3 Method speak in Animal
            3-3 Property name in Animal
            3-3 Constructor constructor in Animal
            3-3 Function run in constructor
            4-4 Function plain
            4-4 Function inner in plain
            5-5 Function generate
            6-6 Constant api
            6-6 Method get in api
            6-6 Method set in api
            6-6 Method run in api
            7-7 Method walk in Animal
            8-8 Function exported
            9-9 Class Kind
            9-9 Method act in Kind
            10-10 Function visible
            11-11 Class Named
            11-11 Class Inner in Named
        "#]],
    );
}

#[test]
fn python() {
    check(
        "a.py",
        "import os
MAX_SIZE = 10
name: str = 'x'
left, right = 1, 2
double = lambda x: 2 * x
type Pair = tuple[int, int]
class Account(Base):
    '''Doc.'''
    kind: str = 'a'
    LIMIT = 3
    def __init__(self, owner):
        self.owner = owner
        local = 1
    @property
    def balance(self):
        def helper():
            pass
        return 1
    class Inner:
        async def run(self): pass
@decorated
def top(): pass
if True:
    def conditional(): pass
name = 'again'
",
        expect![[r#"
            2-2 Constant MAX_SIZE
            3-3 Variable name
            4-4 Variable left
            4-4 Variable right
            5-5 Function double
            6-6 TypeAlias Pair
            7-20 Class Account
            9-9 Field kind in Account
            10-10 Constant LIMIT in Account
            11-13 Method __init__ in Account
            15-18 Method balance in Account
            16-17 Function helper in balance
            19-20 Class Inner in Account
            20-20 Method run in Inner
            22-22 Function top
            24-24 Function conditional
        "#]],
    );
}

#[test]
fn go() {
    check(
        "a.go",
        "package store

const Limit = 3
const (
	A, B = iota, 2
)
var (
	Default *Store
	x, y    int
)
type Store struct {
	name, kind string
	Nested     struct{ deep int }
}
type Reader interface {
	Read(p []byte) (n int, err error)
}
type ID = string
type Handler func(int)
func New[T any](name string) *Store { local := 1; var other int; return nil }
func (s *Store) Get(key string) string { const inside = 1; return key }
func (l List[T]) Len() int { return 0 }
var _ = 1
",
        expect![[r#"
            3-3 Constant Limit in store
            5-5 Constant A in store
            5-5 Constant B in store
            8-8 Variable Default in store
            9-9 Variable x in store
            9-9 Variable y in store
            11-14 Struct Store in store
            12-12 Field name in Store
            12-12 Field kind in Store
            13-13 Field Nested in Store
            13-13 Field deep in Nested
            15-17 Interface Reader in store
            16-16 Method Read in Reader
            18-18 TypeAlias ID in store
            19-19 TypeAlias Handler in store
            20-20 Function New in store
            21-21 Method Get in Store
            22-22 Method Len in List
        "#]],
    );
}

#[test]
fn bash() {
    check(
        "run",
        "#!/usr/bin/env bash
readonly LIMIT=3
export PATH=/bin name=x
count=0
first=1 second=2
build() {
  local target=1
  inner=2
}
function test-all { :; }
LANG=C sort
count=1
",
        expect![[r#"
            2-2 Constant LIMIT
            3-3 Variable PATH
            3-3 Variable name
            4-4 Variable count
            5-5 Variable first
            5-5 Variable second
            6-9 Function build
            10-10 Function test-all
        "#]],
    );
}
