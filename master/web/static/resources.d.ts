// The resources of the API by name, for the types of our own files: import("./resources.d.ts").Proxy
import type { components } from "./openapi.d.ts";

type Schemas = components["schemas"];
export type Proxy = Schemas["Proxy"];
export type Node = Schemas["Node"];
export type Stack = Schemas["Stack"];
export type Location = Schemas["Location"];
export type Event = Schemas["Event"];
export type Rotation = Schemas["Rotation"];
