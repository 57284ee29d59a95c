"""Whose classes the pages are made of: unfold's where it is installed, else Django's own."""

from __future__ import annotations

from typing import Any

from django import forms
from django.apps import apps
from django.contrib import admin
from django.contrib.admin import widgets
from django.contrib.admin.views import main

ModelAdmin: Any = admin.ModelAdmin
ChangeList: Any = main.ChangeList
Select: Any = forms.Select
Textarea: Any = widgets.AdminTextareaWidget

if apps.is_installed("unfold"):
    import unfold.admin
    import unfold.views
    import unfold.widgets

    ModelAdmin = unfold.admin.ModelAdmin
    ChangeList = unfold.views.ChangeList
    Select = unfold.widgets.UnfoldAdminSelectWidget
    Textarea = unfold.widgets.UnfoldAdminTextareaWidget
