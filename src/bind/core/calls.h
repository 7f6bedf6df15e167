// The callable faces of templates: TaskCaller (f.remote), ActorHandle and ActorMethod (actor.m.remote). GIL
// held.
#pragma once

#include "bind/core/template.h"

namespace mobula::python {

bool add_caller_types(PyObject* module);  // TaskCaller, MethodTemplate
bool add_actor_types(PyObject* module);   // ActorHandle, ActorMethod

/// The object that a handle counts as: the first result of the actor's creation. False for any other object.
bool id_of_handle(PyObject* object, ObjectId* out);

/// The template inside a MethodTemplate; nullptr for any other object.
Template* template_of_method(PyObject* object);

/// Makes sure that `prepared` belongs to the running engine, by calling `prepare` if it does not. nullptr
/// with a Python error set.
Session* prepare(const Template& prepared, PyObject* self, PyObject* (*prepare)(PyObject* self));

/// Checks the arguments against the signature, with Python's help for the message. False with a Python error
/// set.
bool check_call(const Template& prepared, PyObject* self, const CallArguments& arguments);

/// Submits one task or call and gives what its caller gets.
PyObject* submit_call(Session* current, const Template& prepared, const CallArguments& arguments,
                      ActorId actor);

/// Reads a description into a template: the spec's fields and "signature". False with a Python error set.
bool fill_template(PyObject* fields, PyObject* signature, Template* out);

}  // namespace mobula::python
